install -d -m 0711 /var/spool/smtpd
