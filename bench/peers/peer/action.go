package peer

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// request and reply are the action protocol's envelope, reduced to what the
// heartbeat needs.
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

// actions is looked up by name as an application's table would be.
var actions = map[string]func(json.RawMessage) any{
	"heart_beat": func(json.RawMessage) any { return true },
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
	} else {
		rep.Data, rep.Action = act(req.Data), req.Action
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
