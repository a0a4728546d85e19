package imports

import (
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// authelia reads a users_database.yml (https://www.authelia.com/reference/guides/passwords/#yaml-format). It walks the
// parsed nodes itself: so each row has its line, and nothing that refers to something else is expanded.
func (d *reader) authelia(r io.Reader) error {
	text, err := readAll(r, MaxYAML)
	if err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return fmt.Errorf("this is no valid YAML: %w", err)
	}
	if len(doc.Content) == 0 {
		return errNoUsers
	}
	users := field(target(doc.Content[0]), "users")
	if users == nil || users.Kind != yaml.MappingNode {
		return errNoUsers
	}
	for i := 0; i+1 < len(users.Content); i += 2 {
		key, of := users.Content[i], target(users.Content[i+1])
		var err error
		if key.Kind != yaml.ScalarNode || of.Kind != yaml.MappingNode {
			err = d.Problem(Problem{Line: key.Line, Handle: key.Value, Why: "There is nothing of this user, or not as it should be.",
				Remedy: "Give it displayname, password, email and groups, or take it out."})
		} else {
			err = d.autheliaUser(key, of)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var errNoUsers = errors.New("there is no mapping `users:` in the file: give Authelia's users_database.yml")

func (d *reader) autheliaUser(key, of *yaml.Node) error {
	p := Person{Line: key.Line, Handle: key.Value}
	for _, text := range []struct {
		name string
		to   *string
	}{{"displayname", &p.Name}, {"password", &p.Hash}, {"email", &p.Email}} {
		switch v := field(of, text.name); {
		case v == nil || v.Tag == "!!null":
		case v.Kind == yaml.ScalarNode:
			*text.to = v.Value
		default:
			return d.Problem(Problem{Line: v.Line, Handle: key.Value, Why: text.name + " is not a text.",
				Remedy: "Correct it, or take it out."})
		}
	}
	if v := field(of, "disabled"); v != nil {
		if err := v.Decode(&p.Disabled); err != nil {
			return d.Problem(Problem{Line: v.Line, Handle: key.Value, Why: "disabled is neither true nor false.",
				Remedy: "Correct it."})
		}
	}
	if v := field(of, "groups"); v != nil && v.Tag != "!!null" {
		for _, g := range v.Content {
			if g = target(g); g.Kind == yaml.ScalarNode {
				p.Groups = append(p.Groups, g.Value)
			}
		}
		if v.Kind != yaml.SequenceNode || len(p.Groups) != len(v.Content) {
			return d.Problem(Problem{Line: v.Line, Handle: key.Value, Why: "groups is not a list of names.", Remedy: "Correct it."})
		}
	}
	return d.found(p)
}

// target is what an alias stands for.
func target(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

// field returns the value of a key, or nil.
func field(of *yaml.Node, name string) *yaml.Node {
	if of.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(of.Content); i += 2 {
		if of.Content[i].Value == name {
			return target(of.Content[i+1])
		}
	}
	return nil
}
