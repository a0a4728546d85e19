package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"syscall"
	"time"
)

// Client calls the node that runs on a data folder.
type Client struct {
	path string
	http *http.Client
}

// callLimit is how long a call may take.
const callLimit = 30 * time.Second

// Dial returns a client for a data folder. It connects with each call.
func Dial(dir string) *Client {
	path := filepath.Join(dir, SocketFile)
	return &Client{path: path, http: &http.Client{Timeout: callLimit, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}}}
}

// Get decodes what a path returns into out.
func (c *Client) Get(ctx context.Context, path string, query url.Values, out any) error {
	return c.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, out)
}

// Post sends a body, or nil, to a path and decodes the answer into out.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return c.call(ctx, http.MethodPost, path, bytes.NewReader(body), out)
}

func (c *Client) call(ctx context.Context, method, path string, body io.Reader, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://control"+path, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no node is running on the data folder %s: start it with `exeunt serve`, or name another with --data",
			filepath.Dir(c.path))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("this user may not open %s: run the command as the user who runs the node", c.path)
	case err != nil:
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		var f Failure
		if err := json.NewDecoder(resp.Body).Decode(&f); err != nil {
			return fmt.Errorf("the node answered %s", resp.Status)
		}
		return errors.New(f.Message)
	}
	return json.NewDecoder(resp.Body).Decode(out)
}
