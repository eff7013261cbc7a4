#!/usr/bin/perl
# `cloud check` says what a machine lacks on which no droplet could boot: in a chroot, and without privileges.
use strict;
use warnings;
use Cwd;
use File::Temp qw(tempdir);
use Test::More;

my $check = getcwd() . '/tests/cloud/cloud';

sub check {
    my (@in) = @_;
    open my $output, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', @in, $check, 'check' or die $!;
    my $said = join '', <$output>;
    close $output;
    return ($? >> 8, $said);
}

my ($status, $said) = check();
is $status, 0, 'here it can work' or diag $said;

# A folder whose parts are those of this machine, and which is itself no mount point.
my $folder = tempdir(CLEANUP => 1);
my $chroot = <<'SH';
folder=$0
mount -t tmpfs chroot "$folder" && mkdir "$folder/root" && cd /
for name in *; do
    if [ -h "$name" ]; then cp -a "$name" "$folder/root/"
    elif [ -d "$name" ]; then mkdir "$folder/root/$name" && mount --rbind "/$name" "$folder/root/$name"
    fi
done
exec chroot "$folder/root" "$@"
SH
($status, $said) = check('unshare', '--mount', 'sh', '-c', $chroot, $folder);
is $status, 1, 'in a chroot it cannot';
like $said, qr{cannot work on this machine:\n/ is no mount point here, as in a chroot.*mount --rbind}s, 'which it says';
unlike $said, qr/--privileged/, 'and nothing that is there';

($status, $said) = check('setpriv', '--bounding-set', '-sys_admin,-net_admin');
is $status, 1, 'nor without privileges';
like $said, qr/no namespaces can be made.*--privileged/, 'which it says';
like $said, qr/no bridge can be made/, 'and all of it';
unlike $said, qr/chroot/, 'and nothing else';

done_testing;
