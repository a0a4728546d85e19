#!/bin/sh
# Before the files go: on Debian "remove", of an rpm 0. An upgrade leaves the service running until the new files are there.
set -e
case "$1" in
remove | deconfigure | 0)
	if [ -d /run/systemd/system ]; then
		systemctl --no-reload disable --now exeunt.service || true
	fi
	;;
esac
