#!/usr/bin/perl
# Listing the instances, one of each state; and adding a user to one of them.
use strict;
use warnings;
use Cloud;
use Clusters;
use Droplets;
use File::Temp 'tempdir';
use JSON::PP ();
use Test::More;

my $cloud = Cloud->connect;
my $pinned = $cloud->{env}{HOSTLER_KNOWN_HOSTS};

my $setup    = $cloud->start_setup('whole');
my %droplet  = map { $_ => new_droplet($cloud, $_, $_ eq 'older' ? qr/^meltano-2024-03/ : undef) } qw(stopped stranger older);
my @unrelated = api($cloud, POST => '/v2/droplets', { name => 'controller.int.meltanodata.com', region => 'nyc3',
    size => 's-2vcpu-2gb', image => $droplet{stopped}{image}{id}, ssh_keys => [], tags => ['office'] })->{droplet};
END {
    local $?;
    eval {
        eventually('the droplet', sub { api($cloud, GET => "/v2/droplets/$_->{id}")->{droplet}{status} ne 'new' });
        api($cloud, DELETE => "/v2/droplets/$_->{id}");
    } for @unrelated;
}
$setup = Hostler::finish($setup);
is $setup->{status}, 0, 'there is a whole instance' or diag $setup->{stdout}, $setup->{stderr};

# The keys of two more are known; the stranger's is not.
my $known_hosts = write_file(tempdir(CLEANUP => 1) . '/known_hosts', join '', Cloud::read_file($pinned),
    map { "$_.meltanodata.com " . $cloud->inside($droplet{$_}, 'cat', '/etc/ssh/ssh_host_ed25519_key.pub') } qw(stopped older));
END { unlink $known_hosts if $known_hosts }
my $options = { env => { HOSTLER_KNOWN_HOSTS => $known_hosts } };

act($cloud, $droplet{stopped}, 'power_off');
$cloud->inside($droplet{older}, 'systemctl', 'stop', 'meltano');

# The rows as programs get them, by name; and the run.
sub rows_of {
    my $run = $cloud->run($options, 'run', 'instances', '--json', @_);
    my ($table) = grep { $_->{event} eq 'say' && $_->{data} } map { JSON::PP::decode_json($_) } split /\n/, $run->{stdout};
    return ({ map { $_->{name} => $_ } @{ $table->{data} } }, $run);
}

subtest 'the rows' => sub {
    my ($rows, $run) = rows_of();
    is $run->{status}, 0, 'it ends well' or diag $run->{stdout}, $run->{stderr};
    is join(' ', sort grep { exists $droplet{$_} || $_ eq 'whole' || $_ =~ /controller/ } keys %$rows), 'older stopped stranger whole',
        'every instance, and no other droplet';
    my ($whole, $public) = ($rows->{whole}, $cloud->droplet('whole')->{public});
    is join(' ', @$whole{qw(address region size age_days version tls state)}),
        "$public nyc3 s-2vcpu-2gb 0 1.105.0 acme serves", 'all that there is to know of one that is well';
    is $rows->{stopped}{state}, 'off', 'one that is switched off';
    is $rows->{stranger}{state}, 'ssh.host_key_unknown', 'one whose host key is not known';
    like $rows->{older}{state}, qr/^(?:meltano|caddy) (?:inactive|failed)$/, 'one whose service is down';
    is $rows->{older}{tls}, 'self-signed', 'whose certificate is its own';
    ok !exists $rows->{stopped}{version}, 'what is not known is left out';
};

subtest 'the table' => sub {
    my $run = $cloud->run($options, 'run', 'instances', 'w*', 'stopped.meltanodata.com', '--quick');
    like $run->{stdout}, qr/say +NAME +ADDRESS +REGION +SIZE +AGE +MELTANO +TLS +STATE\n/, 'has a heading';
    like $run->{stdout}, qr/say +stopped +[\d.]+ +nyc3 +s-2vcpu-2gb +0 d +- +- +off\n.*say +whole /, 'and a line for each, by name';
};

subtest 'which ones' => sub {
    is join(' ', sort keys %{ (rows_of('st*', '--quick'))[0] }), 'stopped stranger', 'a pattern';
    is join(' ', sort keys %{ (rows_of('whol?', 'older', '--quick'))[0] }), 'older whole', 'patterns and names';
    is join(' ', grep { $_ eq 'whole' } keys %{ (rows_of('tag:production', '--quick'))[0] }), 'whole', 'a tag';
    my (undef, $run) = rows_of('whole', 'wohle', '--quick');
    is $run->{status}, 1, 'a slip of the pen';
    like $run->{stderr}, qr/no instance is meant by 'wohle'/, 'is told';
    is((rows_of('a;b'))[1]{status}, 1, 'what can be no name is refused');
};

subtest 'it only reads' => sub {
    my $since = $cloud->mark;
    rows_of();
    is_deeply [ map { "$_->{method} $_->{path}" } grep { $_->{method} ne 'GET' } $cloud->requests($since) ], [],
        'no request but GET was sent';
};

subtest 'two of one name' => sub {
    my $twin = api($cloud, POST => '/v2/droplets', { name => 'older.meltanodata.com', region => 'nyc3', size => 's-2vcpu-2gb',
        image => $droplet{older}{image}{id}, ssh_keys => [] })->{droplet};
    push @unrelated, $twin;
    my $run = $cloud->run($options, 'run', 'instances', 'older');
    is $run->{status}, 0, 'are no error' or diag $run->{stderr};
    is scalar(() = $run->{stdout} =~ /say +older /g), 2, 'but two lines';
};

# ---- add-user ----

sub add_user { return $cloud->run($options, 'run', 'add-user', @_) }
sub users    { return sql($cloud, $cloud->cluster('whole'), 'select username, roles from meltano_user order by username') }

subtest 'one user more' => sub {
    my $since = $cloud->mark;
    is add_user('whole', 'grace', '-n')->{status}, 0, 'a dry run';
    is users(), "meltano|{admin}\nwhole|{admin}", 'adds none';
    is_deeply [ $cloud->writes($since) ], [], 'and stores none';
    my $run = add_user('whole', 'grace', '--role', 'regular');
    is $run->{status}, 0, 'the user is added' or diag $run->{stdout}, $run->{stderr};
    is users(), "grace|{regular}\nmeltano|{admin}\nwhole|{admin}", 'with this role';
    my $item = $cloud->item('grace@whole.meltanodata.com');
    is $item->{username}, 'grace', 'the item has the name';
    is $item->{urls}[0]{href}, 'https://whole.meltanodata.com/', 'and the website';
    cmp_ok length $item->{password}, '>=', 20, 'and a password';
    unlike "$run->{stdout}$run->{stderr}", qr/\Q$item->{password}\E/, 'which is not shown';
    my ($status) = $cloud->request(method => 'POST', url => 'https://whole.meltanodata.com/auth/login',
        form => [ 'username=grace', "password=$item->{password}" ],
        resolve => 'whole.meltanodata.com:443:' . $cloud->droplet('whole')->{public});
    isnt $status, 401, 'the user logs in with it';
    $since = $cloud->mark;
    $run = add_user('whole', 'grace');
    is $run->{status}, 0, 'once more' or diag $run->{stdout}, $run->{stderr};
    like $run->{stdout}, qr/has the user grace already: nothing to do/, 'changes nothing';
    like $run->{stdout}, qr/ 0 changes/, 'on the instance neither';
    is_deeply [ $cloud->writes($since) ], [], 'in 1Password neither';
};

subtest 'a user whose password 1Password has not' => sub {
    my $item = $cloud->item('grace@whole.meltanodata.com');
    $cloud->onepassword("/v1/vaults/$item->{vault}{id}/items/$item->{id}", 'DELETE');
    my $run = add_user('whole', 'grace');
    is $run->{status}, 1, 'is not touched';
    like $run->{stderr}, qr/1Password has no password of theirs.*--overwrite gives them a new one/s, 'unless that is asked for';
    is $cloud->item('grace@whole.meltanodata.com'), undef, 'no wrong password is left in 1Password';
    is add_user('whole', 'grace', '--overwrite')->{status}, 0, '--overwrite';
    isnt $cloud->item('grace@whole.meltanodata.com'), undef, 'stores a new one';

    sql($cloud, $cloud->cluster('whole'), "update meltano_user set password = '00:00' where username = 'grace'");
    like add_user('whole', 'grace')->{stderr}, qr/1Password has another password than theirs/, 'a password that was changed is told';
    is add_user('whole', 'grace', '--overwrite')->{status}, 0, 'and --overwrite';
    like add_user('whole', 'grace')->{stdout}, qr/nothing to do/, 'gives them that of 1Password';
};

subtest 'what cannot be' => sub {
    my $since = $cloud->mark;
    is add_user('whole', '--', '-x')->{status}, 1, 'a name that is none';
    is add_user('nobody', 'grace')->{status}, 1, 'an instance that is none';
    is_deeply [ $cloud->writes($since) ], [], 'nothing is written';
};

my $left = $cloud->run($options, 'run', 'delete', 'whole', '--yes');
is $left->{status}, 0, 'the instance is deleted' or diag $left->{stdout}, $left->{stderr};
is scalar(grep { $_->{title} =~ /whole/ } @{ $cloud->state->{items} }), 0, 'with the logins that were added';

# One that is switched off is not waited for.
api($cloud, DELETE => "/v2/droplets/$droplet{stopped}{id}");

done_testing;
