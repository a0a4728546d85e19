// Package sqlitelog has SQLite write its write-ahead log in few pieces.
//
// By itself SQLite writes the log a frame at a time, each in two writes, and makes
// the file longer by just that, so that each wait for the disk is for the file's
// new length too. Register adds a file system to SQLite (sqlite.org/vfs.html) that
// is the usual one but for logs:
//   - Writes that follow one another in the file are put together. They are
//     written before anything else is done with the file, so at the latest when
//     SQLite asks to wait for the disk.
//   - A log that became longer is made longer ahead. What stands behind the last
//     commit of a log is none of it (sqlite.org/fileformat2.html, section 4.2).
//
// It is for databases whose every commit waits for the disk (synchronous=FULL)
// and whose transactions write nothing to the log before (cache_spill=0). Then
// whatever was put together belongs to a commit, is written under the lock to
// write, and has been by the time SQLite tells other connections of it. Pages are
// taken to be safe from writes beside them (psow, as SQLite does by itself).
package sqlitelog

import (
	"errors"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// VFS is the name of the file system, to open a database with.
const VFS = "gathered"

const (
	atOnce = 1<<17 - 1 // bytes; SQLite hands no more to the system in one write
	ahead  = 1 << 20   // bytes
)

// Register makes the file system known to SQLite.
var Register = sync.OnceValue(func() error {
	tls := libc.NewTLS()
	defer tls.Close()
	if rc := sqlite3.Xsqlite3_initialize(tls); rc != sqlite3.SQLITE_OK {
		return errors.New("SQLite cannot be initialized")
	}
	found := sqlite3.Xsqlite3_vfs_find(tls, 0)
	if found == 0 {
		return errors.New("SQLite has no file system here")
	}
	name, err := libc.CString(VFS)
	if err != nil {
		return err
	}
	fileSystem = *in[sqlite3.Tsqlite3_vfs](found)
	openUsual = function[openFunc](&fileSystem.FxOpen)
	fileSystem.FxOpen, fileSystem.FzName, fileSystem.FpNext = entry(open), name, 0
	if rc := sqlite3.Xsqlite3_vfs_register(tls, uintptr(unsafe.Pointer(&fileSystem)), 0); rc != sqlite3.SQLITE_OK {
		return errors.New("SQLite refuses the file system of its log")
	}
	return nil
})

// What SQLite's pointers to functions point to.
type (
	openFunc        = func(tls *libc.TLS, vfs, name, f uintptr, flags int32, out uintptr) int32
	readOrWriteFunc = func(tls *libc.TLS, f, p uintptr, n int32, at int64) int32
	truncateFunc    = func(tls *libc.TLS, f uintptr, size int64) int32
	syncFunc        = func(tls *libc.TLS, f uintptr, flags int32) int32
	fileSizeFunc    = func(tls *libc.TLS, f, size uintptr) int32
	fileControlFunc = func(tls *libc.TLS, f uintptr, op int32, arg uintptr) int32
	closeFunc       = func(tls *libc.TLS, f uintptr) int32
)

// SQLite is given these addresses to keep, so they are none of memory that Go
// looks after.
var (
	fileSystem sqlite3.Tsqlite3_vfs
	openUsual  openFunc

	methods sqlite3.Tsqlite3_io_methods  // of a log
	usual   *sqlite3.Tsqlite3_io_methods // of any file without locks, as logs are
	usualAt uintptr
	once    sync.Once
)

// logs are those that are open, by where SQLite keeps them: each connection has
// its own of a database's.
var logs sync.Map // uintptr -> *log

// log is used by one goroutine at a time, as its connection is.
type log struct {
	buffer []byte // what was put together
	at     int64  // where in the file it belongs
	size   int64  // at least as long is the file
}

func of(f uintptr) *log {
	l, _ := logs.Load(f)
	return l.(*log)
}

func open(tls *libc.TLS, vfs, name, f uintptr, flags int32, out uintptr) int32 {
	rc := openUsual(tls, vfs, name, f, flags, out)
	if rc != sqlite3.SQLITE_OK || flags&sqlite3.SQLITE_OPEN_WAL == 0 {
		return rc
	}
	opened := in[sqlite3.Tsqlite3_file](f)
	once.Do(func() {
		usualAt = opened.FpMethods
		usual = in[sqlite3.Tsqlite3_io_methods](usualAt)
		methods = *usual
		methods.FxWrite, methods.FxRead, methods.FxTruncate, methods.FxSync = entry(write), entry(read), entry(truncate), entry(waitForDisk)
		methods.FxFileSize, methods.FxFileControl, methods.FxClose = entry(fileSize), entry(fileControl), entry(closeLog)
	})
	if opened.FpMethods != usualAt {
		return rc // a file of another sort is written as it is
	}
	logs.Store(f, &log{})
	opened.FpMethods = uintptr(unsafe.Pointer(&methods))
	return rc
}

func write(tls *libc.TLS, f, p uintptr, n int32, at int64) int32 {
	l := of(f)
	if at != l.at+int64(len(l.buffer)) || len(l.buffer)+int(n) > atOnce {
		if rc := l.flush(tls, f); rc != sqlite3.SQLITE_OK {
			return rc
		}
		l.at = at
	}
	l.buffer = append(l.buffer, unsafe.Slice(in[byte](p), n)...)
	return sqlite3.SQLITE_OK
}

// flush writes what was put together. If that fails it is given up, as is the
// transaction: SQLite is told.
func (l *log) flush(tls *libc.TLS, f uintptr) int32 {
	b := l.buffer
	if len(b) == 0 {
		return sqlite3.SQLITE_OK
	}
	l.buffer = b[:0]
	rc := l.put(tls, f, b, l.at)
	if end := l.at + int64(len(b)); rc == sqlite3.SQLITE_OK && end > l.size {
		l.lengthen(tls, f, end)
	}
	return rc
}

// put has the bytes written by SQLite, which keeps no address of them.
func (l *log) put(tls *libc.TLS, f uintptr, b []byte, at int64) int32 {
	return function[readOrWriteFunc](&usual.FxWrite)(tls, f, uintptr(unsafe.Pointer(&b[0])), int32(len(b)), at)
}

var zeros [atOnce]byte

// lengthen writes behind the end of the log, if the file ends there. If there is
// no place for that, the next commit will find out whether there is for it.
func (l *log) lengthen(tls *libc.TLS, f uintptr, end int64) {
	size := tls.Alloc(8)
	defer tls.Free(8)
	if function[fileSizeFunc](&usual.FxFileSize)(tls, f, size) != sqlite3.SQLITE_OK {
		return
	}
	if l.size = *in[int64](size); l.size > end {
		return
	}
	for l.size < end+ahead && l.put(tls, f, zeros[:], l.size) == sqlite3.SQLITE_OK {
		l.size += int64(len(zeros))
	}
}

// flushed writes what was put together before anything else is done.
func flushed(tls *libc.TLS, f uintptr, then func() int32) int32 {
	if rc := of(f).flush(tls, f); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return then()
}

func read(tls *libc.TLS, f, p uintptr, n int32, at int64) int32 {
	return flushed(tls, f, func() int32 {
		return function[readOrWriteFunc](&usual.FxRead)(tls, f, p, n, at)
	})
}

func truncate(tls *libc.TLS, f uintptr, size int64) int32 {
	return flushed(tls, f, func() int32 {
		of(f).size = 0
		return function[truncateFunc](&usual.FxTruncate)(tls, f, size)
	})
}

func waitForDisk(tls *libc.TLS, f uintptr, flags int32) int32 {
	return flushed(tls, f, func() int32 {
		return function[syncFunc](&usual.FxSync)(tls, f, flags)
	})
}

func fileSize(tls *libc.TLS, f, size uintptr) int32 {
	return flushed(tls, f, func() int32 {
		return function[fileSizeFunc](&usual.FxFileSize)(tls, f, size)
	})
}

func fileControl(tls *libc.TLS, f uintptr, op int32, arg uintptr) int32 {
	return flushed(tls, f, func() int32 {
		return function[fileControlFunc](&usual.FxFileControl)(tls, f, op, arg)
	})
}

// closeLog writes nothing: what was put together has not been committed.
func closeLog(tls *libc.TLS, f uintptr) int32 {
	rc := function[closeFunc](&usual.FxClose)(tls, f)
	logs.Delete(f)
	return rc
}

// in is what is at an address that SQLite has told.
func in[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// function is what a pointer of SQLite's to a function stands for: SQLite is C
// translated to Go, and its pointers are Go's (modernc.org/ccgo).
func function[F any](pointer *uintptr) F { return *(*F)(unsafe.Pointer(pointer)) }

// entry is a function of this package as such a pointer. (A closure would be
// collected.)
func entry(f any) uintptr { return (*[2]uintptr)(unsafe.Pointer(&f))[1] }
