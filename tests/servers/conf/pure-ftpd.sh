install -m 0600 /srv/test/both.pem /run/both.pem
