# Exim trusts one place for its settings, and reads the key as its user.
install -m 0644 /run/conf /etc/exim4/exim4.conf
install -m 0640 -o Debian-exim /srv/test/server.key /run/server.key
