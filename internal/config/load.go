package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// Sources are where settings come from.
type Sources struct {
	File   string                           // "" for none
	Getenv func(name string) (string, bool) // os.LookupEnv
	Flags  map[string]string                // by setting name, as "policy.kept.idle"
}

// Load reads and validates the configuration.
func Load(s Sources) (Config, error) {
	k := koanf.New(".")
	if s.File != "" {
		if err := k.Load(file.Provider(s.File), toml.Parser()); err != nil {
			return Config{}, fmt.Errorf("configuration file %s: %w", s.File, err)
		}
	}
	if err := setFromEnv(k, s.Getenv); err != nil {
		return Config{}, err
	}
	for name, value := range s.Flags {
		if !slices.Contains(Names(), name) {
			return Config{}, fmt.Errorf("there is no setting %q; there are %s", name, strings.Join(Names(), ", "))
		}
		if err := k.Set(name, value); err != nil {
			return Config{}, err
		}
	}
	c := Default()
	err := k.UnmarshalWithConf("", &c, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		Result: &c, ErrorUnused: true, WeaklyTypedInput: true, TagName: "koanf",
		DecodeHook: mapstructure.ComposeDecodeHookFunc(durationHook, mapstructure.StringToSliceHookFunc(",")),
	}})
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	return c, c.Validate()
}

// Names lists the settings that a variable or a flag can set: all but clients,
// which are a list of tables.
func Names() []string {
	var out []string
	var walk func(t reflect.Type, prefix string)
	walk = func(t reflect.Type, prefix string) {
		for f := range t.Fields() {
			name := f.Tag.Get("koanf")
			switch {
			case name == "-" || name == "clients":
			case f.Type.Kind() == reflect.Struct:
				walk(f.Type, prefix+name+".")
			default:
				out = append(out, prefix+name)
			}
		}
	}
	walk(reflect.TypeFor[Config](), "")
	return out
}

// EnvName returns the variable of a setting.
func EnvName(setting string) string {
	return "EXEUNT_" + strings.ToUpper(strings.ReplaceAll(setting, ".", "_"))
}

// setFromEnv takes EXEUNT_X, or the contents of the file that EXEUNT_X_FILE
// names, which keeps secrets out of process listings.
func setFromEnv(k *koanf.Koanf, lookup func(string) (string, bool)) error {
	for _, name := range Names() {
		value, ok := lookup(EnvName(name))
		path, inFile := lookup(EnvName(name) + "_FILE")
		switch {
		case ok && inFile:
			return fmt.Errorf("%s and %s_FILE are both set; set one", EnvName(name), EnvName(name))
		case inFile:
			b, err := os.ReadFile(path)
			if err != nil {
				return fmt.Errorf("%s_FILE: %w", EnvName(name), err)
			}
			value, ok = strings.TrimSpace(string(b)), true
		}
		if ok {
			if err := k.Set(name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// durationHook reads times as people write them: 90s, 15m, 4h, 30d.
func durationHook(from, to reflect.Type, data any) (any, error) {
	if to != reflect.TypeFor[time.Duration]() {
		return data, nil
	}
	text, ok := data.(string)
	if !ok {
		return nil, errors.New("a time needs a unit, in quotes: \"90s\", \"15m\", \"4h\" or \"30d\"")
	}
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || n < 0 || n > 36500 {
			return nil, fmt.Errorf("%q is no time; write 90s, 15m, 4h or 30d", text)
		}
		return time.Duration(n * float64(24*time.Hour)), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, fmt.Errorf("%q is no time; write 90s, 15m, 4h or 30d", text)
	}
	return d, nil
}
