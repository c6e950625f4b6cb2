package bench

import (
	"fmt"
	"math"
	"reflect"
	"strings"
)

// rateAtMost is the highest rate: one a nanosecond.
const rateAtMost = 1e9

// checkNumbers refuses what no field of a plan, a struct, can mean: a negative
// number, one that is none, or a rate beyond the clock. It names the key.
func checkNumbers(v reflect.Value) error {
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		switch f := v.Field(i); f.Kind() {
		case reflect.Int, reflect.Int64:
			if f.Int() < 0 {
				return fmt.Errorf("%s %v: it is not below 0", name, f.Interface())
			}
		case reflect.Float64:
			if !(f.Float() >= 0 && f.Float() <= rateAtMost) {
				return fmt.Errorf("%s %v: it is a number from 0 to %.0f", name, f.Float(), rateAtMost)
			}
		}
	}
	if p, ok := v.Interface().(Plan); ok && p.MaxMessage > math.MaxInt32/2 {
		return fmt.Errorf("max_message %d: it is at most 1 GiB", p.MaxMessage)
	}
	return nil
}
