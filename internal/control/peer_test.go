//go:build linux

package control

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// connectAs connects to a socket as another user: on Linux a thread may have credentials of its own.
func connectAs(t *testing.T, uid int, path string) *os.File {
	t.Helper()
	out := make(chan *os.File, 1)
	go func() {
		defer close(out)
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		if uid != os.Getuid() {
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
				t.Error(errno)
				return
			}
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		}
		if err != nil {
			t.Error(err)
			return
		}
		out <- os.NewFile(uintptr(fd), path)
	}()
	f := <-out
	if f == nil {
		t.FailNow()
	}
	return f
}

// An operator's action is by the user whose program connected, not by the one who runs the node.
func TestTheOperatorIsWhoConnected(t *testing.T) {
	dir, err := os.MkdirTemp("", "exeunt-peer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	// Another user may open this one, unlike the node's.
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, operator(r).Label)
	}))
	s.Listener, s.Config.ConnContext = l, Peer
	s.Start()
	defer s.Close()
	users := []int{os.Getuid()}
	if os.Getuid() == 0 {
		users = append(users, 12345) // who has no name
	}
	for _, uid := range users {
		f := connectAs(t, uid, path)
		if _, err := f.WriteString("GET / HTTP/1.0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 4096)
		n := 0
		for {
			more, err := f.Read(answer[n:])
			if n += more; err != nil || more == 0 {
				break
			}
		}
		f.Close()
		got := string(answer[strings.Index(string(answer[:n]), "\r\n\r\n")+4 : n])
		if want := fmt.Sprintf("uid %d", uid); !strings.Contains(got, want) {
			t.Errorf("the operator is %q, want %s", got, want)
		}
	}
}
