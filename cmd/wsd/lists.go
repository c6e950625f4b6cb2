package main

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// listMapper reads a list from the command line or the environment, with commas,
// or from the file. Blanks around an item are not part of it: who writes a list
// by hand puts them behind the commas. A flag whose values may have commas has
// the tag sep:"none", and is taken as it is.
type listMapper struct{}

func (listMapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	token := ctx.Scan.Pop()
	var items []string
	switch v := token.Value.(type) {
	case string:
		if ctx.Value.Tag.Sep == -1 {
			target.Set(reflect.Append(target, reflect.ValueOf(v)))
			return nil
		}
		if strings.TrimSpace(v) != "" {
			items = kong.SplitEscaped(v, ctx.Value.Tag.Sep)
		}
	case []any:
		for _, item := range v {
			items = append(items, fmt.Sprint(item))
		}
	default:
		return errors.New("missing value: write one, or several with commas")
	}
	for _, item := range items {
		item = strings.TrimSpace(item)
		if item == "" {
			return errors.New("an item of the list is empty: leave out the comma beside it")
		}
		target.Set(reflect.Append(target, reflect.ValueOf(item)))
	}
	return nil
}
