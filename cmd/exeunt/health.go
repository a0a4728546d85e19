package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/exeunt/exeunt/internal/control"
)

type healthCommand struct {
	Data string `help:"The data folder of the running node." default:"/var/lib/exeunt" env:"EXEUNT_DATA"`
}

// healthLimit is how long a node that is well may take to say so.
const healthLimit = 5 * time.Second

// Run fails unless the node answers and is ready. Images and process managers ask by it, where there is no curl.
func (c *healthCommand) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healthLimit)
	defer cancel()
	var s control.Status
	if err := control.Dial(c.Data).Get(ctx, "/status", nil, &s); err != nil {
		return err
	}
	if !s.Ready {
		return errors.New("the node is not ready: " + s.Problem)
	}
	fmt.Println("ready")
	return nil
}
