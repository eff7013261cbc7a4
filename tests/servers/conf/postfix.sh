# What Debian's package makes when it is configured, and an account.
cp /run/conf /etc/postfix/main.cf
cat >/etc/postfix/master.cf <<END
@ADDRESS@:2525 inet  n - n - - smtpd
@ADDRESS@:4650 inet  n - n - - smtpd -o smtpd_tls_wrappermode=yes
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
error     unix  - - n - - error
discard   unix  - - n - - discard
anvil     unix  - - n - 1 anvil
postlog   unix-dgram n - n - 1 postlogd
END
cd /var/spool/postfix
mkdir -p active bounce corrupt defer deferred flush hold incoming maildrop private public pid saved trace
chown postfix active bounce corrupt defer deferred flush hold incoming private public saved trace
chgrp postdrop public maildrop
chmod 0700 active bounce corrupt defer deferred flush hold incoming private saved trace
chmod 0710 public
chmod 0730 maildrop
mkdir -p /var/lib/postfix /etc/postfix/sasl
chown postfix /var/lib/postfix
printf 'pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN CRAM-MD5\n' >/etc/postfix/sasl/smtpd.conf
printf 'correct horse battery' | saslpasswd2 -p -c -u tests.example.com postman
chown postfix /etc/sasldb2
