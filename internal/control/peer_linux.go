package control

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerOf returns the user whose program is at the other end of a Unix socket, as the kernel noted it when that
// connected (unix(7), SO_PEERCRED).
func peerOf(c net.Conn) (uid int, ok bool) {
	conn, is := c.(*net.UnixConn)
	if !is {
		return 0, false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, false
	}
	var cred *unix.Ucred
	if raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}) != nil || err != nil {
		return 0, false
	}
	return int(cred.Uid), true
}
