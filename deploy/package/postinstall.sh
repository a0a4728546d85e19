#!/bin/sh
# After the files are there: on Debian "configure" (with the version before, if there was one), of an rpm 1 or 2.
set -e

case "${1:-configure}" in
configure | 1 | 2) ;;
*) exit 0 ;; # abort-upgrade and the like: nothing was changed
esac

if command -v systemd-sysusers >/dev/null 2>&1; then
	systemd-sysusers exeunt.conf
elif ! getent passwd exeunt >/dev/null; then
	useradd --system --user-group --home-dir /var/lib/exeunt --no-create-home --shell /usr/sbin/nologin exeunt
fi
if command -v systemd-tmpfiles >/dev/null 2>&1; then
	systemd-tmpfiles --create exeunt.conf
else
	install -d -m 0700 -o exeunt -g exeunt /var/lib/exeunt
fi
install -d -m 0755 /etc/exeunt

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
	# Nothing is started that was not running: there may be no configuration yet.
	systemctl try-restart exeunt.service || true
fi
if [ ! -e /etc/exeunt/exeunt.toml ]; then
	echo "Exeunt is installed and not started. Next: exeunt init"
fi
