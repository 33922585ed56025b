package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// show writes out a whole configuration, a line for each value.
func show(cfg *Config) string {
	var lines []string
	var walk func(at string, v reflect.Value)
	walk = func(at string, v reflect.Value) {
		switch {
		case isText(v.Type()):
			lines = append(lines, fmt.Sprintf("%s = %v", at, v))
		case v.Kind() == reflect.Pointer && !v.IsNil():
			walk(at, v.Elem())
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				if !v.Type().Field(i).IsExported() {
					continue
				}
				walk(at+"."+v.Type().Field(i).Name, v.Field(i))
			}
		case v.Kind() == reflect.Slice:
			for i := range v.Len() {
				walk(fmt.Sprintf("%s[%d]", at, i), v.Index(i))
			}
		case v.Kind() == reflect.Map:
			keys := v.MapKeys()
			slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
			for _, key := range keys {
				name, _ := json.Marshal(key.String())
				walk(fmt.Sprintf("%s[%s]", at, name), v.MapIndex(key))
			}
		}
	}
	walk("", reflect.ValueOf(cfg).Elem())
	return strings.Join(lines, "\n") + "\n"
}
