package dispatch

import (
	"bytes"
	"encoding/json"

	"github.com/google/uuid"
)

// wire is the envelope as encoding/json reads it, and so the definition of what every message means.
type wire struct {
	Action    string          `json:"actioncode"`
	Data      json.RawMessage `json:"data"`
	Token     string          `json:"token"`
	Company   string          `json:"company"`
	Seq       json.RawMessage `json:"seq"`
	Broadcast bool            `json:"is_broadcast"`
	ClientIDs texts           `json:"client_ids"`
}

// slow reads msg by encoding/json into e, which must be empty.
func slow(msg []byte, e *Envelope) Code {
	if i := space(msg, 0); i == len(msg) || msg[i] != '{' {
		return InvalidParams // encoding/json would take null for an empty object
	}
	var w wire
	err := json.Unmarshal(msg, &w)
	ok := err == nil

	// A field of the wrong type does not keep encoding/json from reading the others.
	if w.Action != "" && len(w.Action) <= MaxAction {
		e.Action = []byte(w.Action)
	} else {
		ok = false
	}
	if seq := notNull(w.Seq); seq != nil {
		if isSeq(seq) {
			e.Seq = seq
		} else {
			ok = false
		}
	}
	ids, good := parseIDs(w.ClientIDs, e.ids)
	if !ok || !good {
		return InvalidParams
	}
	e.Data = notNull(w.Data)
	e.Token, e.Company = []byte(w.Token), []byte(w.Company)
	e.Broadcast = w.Broadcast
	if w.ClientIDs != nil {
		e.ids, e.ClientIDs = ids, ids
	}
	return OK
}

// parseIDs appends the ids of list to storage, and never returns nil.
func parseIDs(list texts, storage []uuid.UUID) (ids []uuid.UUID, ok bool) {
	if storage == nil {
		storage = []uuid.UUID{}
	}
	for _, text := range list {
		id, ok := parseID(text) // null is none
		if !ok {
			return storage, false
		}
		storage = append(storage, id)
	}
	return storage, true
}

func notNull(raw json.RawMessage) []byte {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil
	}
	return raw
}
