package dispatch_test

import (
	"context"
	"fmt"

	"wsd/dispatch"
)

type greeting struct {
	Name string `json:"name"`
}

func greet(_ *dispatch.Context, in greeting) (string, error) {
	if in.Name == "" {
		return "", &dispatch.Error{Code: dispatch.InvalidParams, Msg: "name is empty"}
	}
	return "hello " + in.Name, nil
}

func Example() {
	mux := dispatch.NewMux()
	dispatch.Builtins(mux)
	dispatch.Handle(mux, "greet", greet, dispatch.Inline())

	var e dispatch.Envelope
	for _, msg := range []string{
		`{"actioncode":"heart_beat"}`,
		`{"actioncode":"greet","data":{"name":"Ann"},"seq":1}`,
		`{"actioncode":"greet","seq":2}`,
	} {
		if code := dispatch.Parse([]byte(msg), &e); code != dispatch.OK {
			fmt.Println("refused:", code.Msg())
			continue
		}
		ctx := dispatch.Context{Context: context.Background(), Envelope: &e}
		answer, _ := mux.Lookup(e.Action).Call(&ctx, nil)
		fmt.Println(string(answer))
	}
	// Output:
	// {"code":0,"msg":"success","data":true,"actioncode":"heart_beat"}
	// {"code":0,"msg":"success","data":"hello Ann","actioncode":"greet","seq":1}
	// {"code":1,"msg":"name is empty","data":null,"actioncode":"greet","seq":2}
}
