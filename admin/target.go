package admin

import (
	"errors"
	"fmt"

	"github.com/google/uuid"

	"wsd/server"
)

// maxTargets bounds the topics, clients or users that one publish may name.
const maxTargets = 1000

// errTarget is for a publish that does not name who it is for. A mistyped
// target must not reach everybody, or nobody.
var errTarget = errors.New("name one kind of target: all, topic, client or user, the latter three repeatable")

func toTopics(names []string) (server.Target, error) {
	if err := fewEnough(names); err != nil {
		return server.Target{}, err
	}
	for _, name := range names {
		if err := server.ValidTopic(name); err != nil {
			return server.Target{}, err
		}
	}
	return server.Topic(names...), nil
}

func toClients(names []string) (server.Target, error) {
	if err := fewEnough(names); err != nil {
		return server.Target{}, err
	}
	ids := make([]uuid.UUID, len(names))
	for i, name := range names {
		id, err := parseID(name)
		if err != nil {
			return server.Target{}, err
		}
		ids[i] = id
	}
	return server.Client(ids...), nil
}

func toUsers(names []string) (server.Target, error) {
	if err := fewEnough(names); err != nil {
		return server.Target{}, err
	}
	for _, name := range names {
		if err := server.ValidUser(name); err != nil {
			return server.Target{}, err
		}
	}
	return server.User(names...), nil
}

func fewEnough(names []string) error {
	switch {
	case len(names) == 0:
		return errTarget
	case len(names) > maxTargets:
		return fmt.Errorf("%d targets are too many for one publish: at most %d", len(names), maxTargets)
	}
	return nil
}

// parseID takes the one form of a UUID that whoami answers.
func parseID(name string) (uuid.UUID, error) {
	id, err := uuid.Parse(name)
	if err != nil || len(name) != 36 {
		return uuid.UUID{}, fmt.Errorf("client %q is no id: write the UUID that whoami answers", name)
	}
	return id, nil
}
