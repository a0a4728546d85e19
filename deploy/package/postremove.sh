#!/bin/sh
# After the files have gone. Data and configuration stay, until Debian says "purge". The user stays, too, so that its
# files never become somebody else's.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
if [ "$1" = purge ]; then
	rm -rf /var/lib/exeunt /etc/exeunt
fi
