#!/usr/bin/perl
# FTP that refuses: vsftpd's own words over a real login, mended with consent; what cannot be mended is told.
use strict;
use warnings;
use Cloud;
use Promises;
use Test::More;

my $cloud = Cloud->connect;
my $tenant = 'ftp';
my $name   = "$tenant.meltanodata.com";
my $made   = $cloud->setup($tenant);
is $made->{status}, 0, 'an instance' or die $made->{stderr};
my $droplet  = $cloud->droplet($tenant);
my $password = 'Geheim-' . join '', map { chr 97 + int rand 26 } 1 .. 12;
open my $pipe, '|-', 'tests/cloud/droplet', 'exec', $droplet->{id}, 'chpasswd' or die $!;
print $pipe "meltano_ftp:$password\n";
close $pipe or die 'chpasswd failed';

sub triage { return $cloud->run({}, 'run', 'triage-ftp', $tenant, @_) }
sub mode   { return $cloud->inside($droplet, 'stat', '-c', '%a', '/var/meltano/project') }

sub item {
    my ($value) = @_;
    my $vault = $cloud->onepassword('/v1/vaults')->[0]{id};
    my ($status) = $cloud->request(method => 'POST', url => "$cloud->{env}{OP_CONNECT_HOST}/v1/vaults/$vault/items",
        headers => ["Authorization: Bearer $cloud->{env}{OP_CONNECT_TOKEN}"], json => {
            title => "meltano_ftp\@$name", category => 'LOGIN', vault => { id => $vault }, fields => [
                { id => 'username', type => 'STRING', purpose => 'USERNAME', value => 'meltano_ftp' },
                { id => 'password', type => 'CONCEALED', purpose => 'PASSWORD', value => $value },
            ] });
    is $status, 200, 'an item in 1Password';
}

sub forget_item {
    my $item = $cloud->item("meltano_ftp\@$name") or return;
    $cloud->onepassword("/v1/vaults/$item->{vault}{id}/items/$item->{id}", 'DELETE');
}
forget_item();

subtest 'without a password' => sub {
    my $run = triage();
    is $run->{status}, 1, 'a new instance without a fault: nothing is found';
    like $run->{stdout}, qr/no 1Password item meltano_ftp\@\Q$name\E/, 'and the missing password is told';
    like $run->{stderr}, qr/export FTP_PASSWORD/, 'and how to give it';
    $cloud->inside($droplet, 'chmod', 'g+w', '/var/meltano/project');
    $run = triage('--yes');
    is $run->{status}, 0, 'the mode is mended all the same';
    is mode(), "755\n", 'as the host says';
};

item($password);
subtest 'a writable chroot' => sub {
    $cloud->inside($droplet, 'chmod', 'g+w', '/var/meltano/project');
    my $asked = triage();
    is $asked->{status}, 3, 'without consent a person is needed';
    is mode(), "775\n", 'and nothing changes';
    like $asked->{stdout}, qr/500 OOPS: vsftpd: refusing to run with writable root inside chroot\(\)/, 'the real answer is shown';
    like $asked->{stdout}, qr/mode 0775, owner meltano, group meltano/, 'so are mode and owner';

    my $plan = triage('--dry-run');
    is $plan->{status}, 0, 'the dry run ends well' or diag $plan->{stderr};
    like $plan->{stdout}, qr/chmod g-w -- \/var\/meltano\/project/, 'with the one change';
    is mode(), "775\n", 'which is not made';

    my $run = triage('--yes');
    is $run->{status}, 0, 'with consent it is mended' or diag $run->{stderr};
    is mode(), "755\n", 'the mode';
    like $run->{stdout}, qr/works, and lists \d+ entries:.*\bmeltano\.yml\b.*FTP works again/s, 'login and listing work';
    unlike "$run->{stdout}$run->{stderr}", qr/\Q$password\E/, 'the password is not shown';

    my $undo = $cloud->run({}, 'undo', 'last', '--yes');
    is $undo->{status}, 0, 'it can be taken back' or diag $undo->{stderr};
    is mode(), "775\n", 'as it was';
    is triage('--yes')->{status}, 0, 'and done again';

    my $again = triage();
    is $again->{status}, 0, 'again';
    like $again->{stdout}, qr/nothing to do.*0 changes/s, 'there is nothing to do';
};

keeps_its_promises($cloud, 'its promises', {
    command => [ 'triage-ftp', $tenant, '--yes' ],
    before  => sub { $cloud->inside($droplet, 'chmod', 'g+w', '/var/meltano/project') },
    look    => sub { machine_of($cloud, $droplet) },
    again   => qr/FTP works: nothing to do/,
});

subtest 'a root that the FTP user owns' => sub {
    $cloud->inside($droplet, 'chown', 'meltano_ftp', '/var/meltano/project');
    my $run = triage('--yes');
    is $run->{status}, 1, 'is not mended by chmod g-w';
    like $run->{stderr}, qr/FTP still refuses: .*500 OOPS.*refuses a directory that meltano_ftp owns/s, 'and that is told';
    $cloud->inside($droplet, 'chown', 'meltano', '/var/meltano/project');
};

subtest 'other faults are told, and nothing is changed' => sub {
    $cloud->inside($droplet, 'systemctl', 'stop', 'vsftpd');
    my $run = triage('--yes');
    is $run->{status}, 1, 'vsftpd is stopped';
    like $run->{stderr}, qr/cannot be reached.*systemctl status vsftpd/s, 'it says so';
    $cloud->inside($droplet, 'systemctl', 'start', 'vsftpd');
    forget_item();
    item("$password-wrong");
    $run = triage('--yes');
    is $run->{status}, 1, 'a wrong password';
    like $run->{stderr}, qr/530 Login incorrect.*password that is in 1Password/s, 'the answer, and what to look at';
    is mode(), "755\n", 'the mode stays';
};
forget_item();
done_testing;
