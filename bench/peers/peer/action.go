package peer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// request and reply are the action protocol's envelope, reduced to what the
// compared actions need.
type request struct {
	Action string          `json:"actioncode"`
	Data   json.RawMessage `json:"data"`
}

type reply struct {
	Code   int    `json:"code"`
	Msg    string `json:"msg"`
	Data   any    `json:"data"`
	Action string `json:"actioncode,omitempty"`
}

// actions is looked up by name as an application's table would be. What fails
// returns nil.
var actions = map[string]func(json.RawMessage) any{
	"heart_beat": func(json.RawMessage) any { return true },
	"say": func(data json.RawMessage) any {
		var in Say
		if json.Unmarshal(data, &in) != nil {
			return nil
		}
		return in.Said()
	},
}

// Say and Said are what an action of an application takes and returns: about 60
// bytes of JSON each.
type (
	Say struct {
		Room string `json:"room"`
		Text string `json:"text"`
		At   int64  `json:"at"`
	}
	Said struct {
		Room  string `json:"room"`
		Words int    `json:"words"`
		Text  string `json:"text"`
		At    int64  `json:"at"`
	}
)

// Said is the work of that action: next to nothing, so that what is compared is
// the way to it and back.
func (in Say) Said() Said {
	return Said{Room: in.Room, Words: strings.Count(in.Text, " ") + 1, Text: in.Text, At: in.At}
}

// answer is set once, before the first client.
var answer = answerJSON

func setParse(how string) error {
	switch how {
	case "json":
		answer = answerJSON
	case "scan":
		answer = answerScan
	default:
		return fmt.Errorf("--parse %q: want json or scan", how)
	}
	return nil
}

// Answer handles one message of /ws and returns the reply's text, which the
// caller must not change. It keeps nothing of msg.
func Answer(msg []byte) []byte {
	Stats.Messages.Add(1)
	return answer(msg)
}

func answerJSON(msg []byte) []byte {
	var req request
	rep := reply{Msg: "success"}
	if err := json.Unmarshal(msg, &req); err != nil || req.Action == "" {
		rep.Code, rep.Msg = 1, "invalid params"
	} else if act, ok := actions[req.Action]; !ok {
		rep.Code, rep.Msg, rep.Action = 5, "method not found", req.Action
	} else if rep.Data, rep.Action = act(req.Data), req.Action; rep.Data == nil {
		rep.Code, rep.Msg = 1, "invalid params"
	}
	text, err := json.Marshal(rep)
	if err != nil { // no field of reply can fail to marshal
		panic(err)
	}
	return text
}

var (
	heartbeat = []byte(`"heart_beat"`)
	alive     = []byte(`{"code":0,"msg":"success","data":true,"actioncode":"heart_beat"}`)
	unknown   = []byte(`{"code":5,"msg":"method not found","data":null}`)
)

// answerScan takes JSON out of the comparison: no server can find its action
// for less, so what differs then is the library alone.
func answerScan(msg []byte) []byte {
	if bytes.Contains(msg, heartbeat) {
		return alive
	}
	return unknown
}

// Echoed counts one message of /echo.
func Echoed() { Stats.Messages.Add(1) }
