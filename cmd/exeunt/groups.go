package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/exeunt/exeunt/internal/control"
)

type groupsCommand struct {
	List   listGroupsCommand      `cmd:"" help:"List groups and how many accounts are in each."`
	Show   showGroupCommand       `cmd:"" help:"List the accounts in a group."`
	Add    addToGroupCommand      `cmd:"" help:"Put accounts into a group; the first makes it."`
	Remove removeFromGroupCommand `cmd:"" help:"Take accounts out of a group; it goes with the last."`
}

type listGroupsCommand struct{ listing }

// Run lists groups.
func (c *listGroupsCommand) Run(ctx context.Context) error {
	return list(ctx, &c.listing, "/groups", url.Values{}, "GROUP\tACCOUNTS", func(w io.Writer, g control.Group) {
		fmt.Fprintf(w, "%s\t%d\n", g.Name, g.Members)
	})
}

type showGroupCommand struct {
	listing
	Group string `arg:""`
}

// Run lists a group's members.
func (c *showGroupCommand) Run(ctx context.Context) error {
	header := "ACCOUNT\tNAME\tSTATUS\tIN IT SINCE"
	path := "/groups/" + url.PathEscape(c.Group) + "/members"
	return list(ctx, &c.listing, path, url.Values{}, header, func(w io.Writer, m control.Member) {
		fmt.Fprintf(w, "@%s\t%s\t%s\t%s\n", m.Handle, m.Name, m.Status, when(m.Since))
	})
}

type addToGroupCommand struct {
	operate
	Group   string   `arg:"" help:"1 to 63 of a-z, 0-9, '.', '-' and '_', beginning with a letter or digit."`
	Handles []string `arg:"" name:"handle" help:"The accounts, at most 100."`
}

// Run puts accounts into a group.
func (c *addToGroupCommand) Run(ctx context.Context) error {
	return c.changeGroup(ctx, c.Group, "add", c.Handles, "Added to", "In it already")
}

type removeFromGroupCommand struct {
	operate
	Group   string   `arg:""`
	Handles []string `arg:"" name:"handle" help:"The accounts, at most 100."`
}

// Run takes accounts out of a group.
func (c *removeFromGroupCommand) Run(ctx context.Context) error {
	return c.changeGroup(ctx, c.Group, "remove", c.Handles, "Removed from", "Not in it")
}

func (o *operate) changeGroup(
	ctx context.Context, group, verb string, handles []string, done, already string,
) error {
	var g control.GroupChange
	path := "/groups/" + url.PathEscape(group) + "/" + verb
	if err := o.node().Post(ctx, path, control.Handles{Handles: handles}, &g); err != nil {
		return err
	}
	return o.show(g, func(w io.Writer) {
		if len(g.Changed) > 0 {
			fmt.Fprintf(w, "%s %s: @%s\n", done, g.Group, strings.Join(g.Changed, ", @"))
		}
		if len(g.Already) > 0 {
			fmt.Fprintf(w, "%s: @%s\n", already, strings.Join(g.Already, ", @"))
		}
	})
}
