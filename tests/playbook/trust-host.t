#!/usr/bin/perl
# trust-host: a droplet rebuilt under its name and address, in every form that known_hosts has for it; and impostors, who
# are real SSH servers on the droplet's address. ssh and ssh-keygen judge the result.
use strict;
use warnings;
use Cloud;
use Droplets;
use Promises;
use File::Temp qw(tempdir);
use Test::More;
use Time::HiRes qw(sleep);

my $cloud = Cloud->connect;
my ($tenant, $name) = ('trusty', 'trusty.meltanodata.com');
my $folder  = tempdir(CLEANUP => 1);
my $sshd; # an impostor's pid

my $droplet = new_droplet($cloud, $tenant);
my $address = $droplet->{public};

# The keys that the droplet has, by type: straight from its files.
sub host_keys {
    my %keys;
    for my $line (split /\n/, $cloud->inside($droplet, 'sh', '-c', 'cat /etc/ssh/ssh_host_*_key.pub')) {
        my ($type, $key) = split ' ', $line;
        $keys{$type} = $key;
    }
    return \%keys;
}

sub second_sshd { $cloud->inside($droplet, '/usr/sbin/sshd', '-p', '2222') }

# ---- what ssh and ssh-keygen make of a file ----

sub ssh {
    my ($file, $host, $port) = @_;
    my $known = $port == 22 ? $host : "[$host]:$port";
    local $ENV{SSH_AUTH_SOCK} = $cloud->{env}{SSH_AUTH_SOCK};
    return qx(ssh -F none -p $port -o HostKeyAlias='$known' -o UserKnownHostsFile=$file -o GlobalKnownHostsFile=/dev/null \\
        -o StrictHostKeyChecking=yes -o UpdateHostKeys=no -o BatchMode=yes root\@$address echo in 2>&1);
}

sub found_keys {
    my ($file, $host) = @_;
    return join ' ', sort map { (split ' ')[2] } grep { !/^#/ } split /\n/, qx(ssh-keygen -F '$host' -f $file);
}

sub trust {
    my ($file, @flags) = @_;
    return $cloud->run({ env => { HOSTLER_KNOWN_HOSTS => $file } }, 'run', 'trust-host', $tenant, @flags);
}

# ---- files of before ----

my $old   = host_keys();
my $other = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFREplJrQf7hkcYcgrx5t/R0MfNkA7owddI8Zg/8L6z+';
my ($before, $after) = ("# mine\n\nother.meltanodata.com $other  a comment\t\n", "last.example $other");
my $ed25519 = "ssh-ed25519 $old->{'ssh-ed25519'}";
my %middle = (
    plain    => "$name $ed25519\n",
    several  => join('', map { "$name $_ $old->{$_}\n" } sort keys %$old) . "$address $ed25519 by hand\n",
    shared   => "$name,$address $ed25519\n",
    mixed    => "other.example,$name,third.example $ed25519\n",
    wildcard => "*.meltanodata.com $ed25519\n",
    port     => "[$name]:2222 $ed25519\n[$address]:2222 $ed25519\n",
);
write_file("$folder/$_", $before . $middle{$_} . $after) for keys %middle;
for my $form (qw(hashed hashed-port)) {
    my $text = $form eq 'hashed' ? $middle{several} : $middle{port};
    write_file("$folder/$form", $before . $text . $after . "\n");
    qx(ssh-keygen -q -H -f $folder/$form 2>/dev/null; rm -f $folder/$form.old);
}
my $hashed = Cloud::read_file("$folder/hashed");
like ssh("$folder/plain", $name, 22), qr/^in$/m, 'at first ssh gets in';
is trust("$folder/plain")->{stdout} =~ /nothing to do/, 1, 'and there is nothing to trust anew';
my $old_time = time;

sleep 1.1; # DigitalOcean's times are whole seconds
rebuild($cloud, $droplet);
my $new = host_keys();
second_sshd();

# ---- a droplet that was rebuilt ----

like ssh("$folder/plain", $name, 22), qr/REMOTE HOST IDENTIFICATION HAS CHANGED/, 'after the rebuild ssh refuses';

subtest 'before anybody has agreed' => sub {
    my $run = trust("$folder/plain");
    is $run->{status}, 3, 'without a terminal it parks';
    like $run->{stdout}, qr{known   \Q$folder\E/plain:4  ssh-ed25519 SHA256:\S+  for \Q$name\E}, 'it shows the line';
    my $print = qx(ssh-keyscan -t ed25519 $address 2>/dev/null | ssh-keygen -lf -) =~ /(SHA256:\S+)/ && $1;
    like $run->{stdout}, qr/shown   ssh-ed25519 \Q$print\E/, 'and the new fingerprint';
    like $run->{stdout}, qr/why .*rebuilt on 20/, 'and why it may be trusted';
    $run = trust("$folder/plain", '--dry-run');
    is $run->{status}, 0, 'a dry run goes to the end' or diag $run->{stderr};
    like $run->{stdout}, qr/ -\Q$name $ed25519\E$/m, 'with the line that would go';
    like $run->{stdout}, qr/ \+\Q$name ssh-ed25519 $new->{'ssh-ed25519'}\E/m, 'and the one that would come';
    is Cloud::read_file("$folder/plain"), $before . $middle{plain} . $after, 'nothing has changed';
    is_deeply [ glob "$folder/plain.*" ], [], 'and there is no copy';
};

sub check_file {
    my ($form, $port, %expected) = @_;
    my $file  = "$folder/$form";
    my $was   = Cloud::read_file($file);
    my $known = sub { $port == 22 ? $_[0] : "[$_[0]]:$port" };
    my $run   = trust($file, '--yes', $port == 22 ? () : ('--port', $port));
    is $run->{status}, 0, 'it ends well' or diag $run->{stdout}, $run->{stderr};
    is $run->{stderr}, '', 'and has nothing to complain about';
    like ssh($file, $_, $port), qr/^in$/m, "ssh gets in by $_" for @{ $expected{hosts} || [$name] };
    is found_keys($file, $known->($_)), join(' ', sort @{ $expected{keys} || [ $new->{'ssh-ed25519'} ] }),
        "ssh-keygen -F finds the new keys of $_" for @{ $expected{found} || $expected{hosts} || [$name] };
    my ($copy) = glob "$file.*";
    is Cloud::read_file($copy), $was, 'the copy is what was before';
    my $is = Cloud::read_file($file);
    return $is if $form =~ /hashed/;
    is substr($is, 0, length $before), $before, 'what comes before stays';
    like $is, qr/\n\Q$after\E/, 'and what comes after';
    $run = trust($file, '--yes', $port == 22 ? () : ('--port', $port));
    like $run->{stdout}, qr/nothing to do/, 'the second time there is nothing to do';
    is Cloud::read_file($file), $is, 'and nothing changes';
    return $is;
}

subtest 'a plain line'     => sub { check_file('plain', 22) };
subtest 'name and address' => sub { check_file('shared', 22, hosts => [ $name, $address ]) };
subtest 'another port'     => sub { check_file('port', 2222, hosts => [ $name, $address ]) };
subtest 'a hashed port'    => sub { check_file('hashed-port', 2222, hosts => [ $name, $address ]) };
subtest 'several types'    => sub {
    my $is = check_file('several', 22, keys => [ values %$new ]);
    like $is, qr/^\Q$address ssh-ed25519 $new->{'ssh-ed25519'} by hand added 20\E\S+ by hostler$/m, 'a comment stays';
};
subtest 'hashed names' => sub {
    my $is = check_file('hashed', 22, keys => [ values %$new ]);
    my @salts = map { [ $_ =~ /(\|1\|\S+)/g ] } $hashed, $is;
    is "@{ $salts[1] }", "@{ $salts[0] }", 'stay hashed, each as it was';
};
subtest 'a line shared with other hosts' => sub {
    my $is = check_file('mixed', 22);
    like $is, qr/^other\.example,third\.example \Q$ed25519\E$/m, 'they keep the key';
};
subtest 'a wildcard' => sub {
    my $is = check_file('wildcard', 22, found => []);
    like $is, qr/^\*\.meltanodata\.com \Q$ed25519\E$/m, 'stays as it was';
};

subtest 'a name that is known under another port only' => sub {
    for my $form (qw(port hashed-port)) {
        my $file = write_file("$folder/only-$form", $before . $middle{port} . $after . "\n");
        system("ssh-keygen -q -H -f $file 2>/dev/null") if $form eq 'hashed-port';
        unlink "$file.old";
        my $run = trust($file, '--yes');
        is $run->{status}, 0, 'there is nothing to do' or diag $run->{stderr};
        like $run->{stdout}, qr/known_hosts has no line for \Q$name\E, .* nothing to do.*run trust-host $tenant --port 2222$/ms,
            "but it says with which port there is ($form)";
    }
};
my ($print) = $cloud->inside($droplet, 'ssh-keygen', '-lf', '/etc/ssh/ssh_host_ed25519_key.pub') =~ /(SHA256:\S+)/;
subtest 'a host that is not known yet' => sub {
    for my $file ("$folder/none", write_file("$folder/unended", substr $before, 0, -1)) {
        my $was = -e $file ? Cloud::read_file($file) . "\n" : '';
        my $run = trust($file, '--yes');
        is $run->{status}, 0, 'there is nothing to do' or diag $run->{stderr};
        like $run->{stdout}, qr/shown   ssh-ed25519 \Q$print\E.*--fingerprint/s, 'but it says what makes it known';
        is trust($file, '--fingerprint', 'SHA256:' . 'A' x 43)->{status}, 1, 'not any fingerprint does';
        $run = trust($file, '--yes', '--fingerprint', $print);
        is $run->{status}, 0, 'that of the console does' or diag $run->{stderr};
        is found_keys($file, $name), $new->{'ssh-ed25519'}, 'ssh-keygen finds the key';
        like ssh($file, $name, 22), qr/^in$/m, 'ssh gets in';
        like Cloud::read_file($file), qr/\A\Q$was\E\Q$name ssh-ed25519 \E\S+ added \S+ by hostler\n\z/, 'by a line at the end';
    }
};
subtest 'taking it back' => sub {
    my $file = write_file("$folder/back", $before . $middle{several} . $after);
    utime $old_time, $old_time, $file;
    my $was = Cloud::read_file($file);
    is trust($file, '--yes')->{status}, 0, 'trusted';
    my $undo = sub { $cloud->run({ env => { HOSTLER_KNOWN_HOSTS => $file } }, 'undo', 'last', '--yes') };
    isnt Cloud::read_file($file), $was, 'the file is another';
    is $undo->()->{status}, 0, 'undone';
    is Cloud::read_file($file), $was, 'it is as it was';
    utime $old_time, $old_time, $file;
    is trust($file, '--yes')->{status}, 0, 'trusted again';
    open my $more, '>>', $file or die $!;
    print $more "\n# a later line\n";
    close $more;
    my $run = $undo->();
    is $run->{status}, 1, 'a file that has changed since';
    like $run->{stderr}, qr/has changed since: it was not put back.*copy of before/s, 'is not put back';
};
subtest 'other keys by the time that somebody agrees' => sub {
    my $file = write_file("$folder/parked", $before . $middle{plain} . $after);
    utime $old_time, $old_time, $file;
    my $asked = trust($file);
    is $asked->{status}, 3, 'a person has to agree';
    my ($id) = $asked->{stderr} =~ /hostler answer (\w+) VALUE/;
    my $keys = '/etc/ssh/ssh_host_ed25519_key';
    $cloud->inside($droplet, 'sh', '-c', "cp -a $keys /root/k; cp -a $keys.pub /root/k.pub; rm $keys $keys.pub; ssh-keygen -q -t ed25519 -N '' -f $keys");
    my $run = $cloud->run({ env => { HOSTLER_KNOWN_HOSTS => $file } }, 'answer', $id, 'yes');
    is found_keys($file, $name), $new->{'ssh-ed25519'}, 'what was agreed to is what is trusted';
    is $run->{status}, 1, 'and the other key is not';
    like $run->{stderr}, qr/someone may be in between/, 'as the check says';
    $cloud->inside($droplet, 'sh', '-c', "mv /root/k $keys; mv /root/k.pub $keys.pub");
};

subtest 'a droplet that was deleted and made anew' => sub {
    local $cloud->{env}{HOSTLER_KNOWN_HOSTS} = $cloud->{env}{HOSTLER_KNOWN_HOSTS};
    my $first  = new_droplet($cloud, 'again');
    my ($line) = Cloud::read_file($cloud->{env}{HOSTLER_KNOWN_HOSTS}) =~ /^(\Q$first->{name}\E .*\n)/m;
    my $file   = write_file("$folder/anew", $before . $line . $after);
    $cloud->forget('again');
    sleep 1.1; # DigitalOcean's times are whole seconds
    my $second = new_droplet($cloud, 'again');
    my $run = $cloud->run({ env => { HOSTLER_KNOWN_HOSTS => $file } }, 'run', 'trust-host', 'again', '--yes');
    is $run->{status}, 0, 'is believed' or diag $run->{stdout}, $run->{stderr};
    like $run->{stdout}, qr/the droplet was created on 20/, 'for it is younger than the line';
    like Cloud::read_file($file), qr/\A\Q$before\E\Q$second->{name}\E ssh-ed25519 \S+ added .*\n\Q$after\E\z/, 'which has the new key';
};

{
    my $file = "$folder/promises";
    local $cloud->{env}{HOSTLER_KNOWN_HOSTS} = $file;
    keeps_its_promises($cloud, 'its promises', {
        command => [ 'trust-host', $tenant, '--yes' ],
        before  => sub {
            unlink glob "$file*";
            write_file($file, $before . $middle{several} . $after);
            utime $old_time, $old_time, $file;
        },
        look  => sub { join "\n", map { s/\d{4}-\d\d-\d\dT[\d:]+Z/DATE/gr } map { ($_, Cloud::read_file($_)) } sort glob "$file*" },
        again => qr/shows the keys that known_hosts has: nothing to do/,
    });
}

# ---- impostors ----

sub refuses {
    my ($file, $flags, $pattern, $what) = @_;
    my $was = Cloud::read_file($file);
    my $run = trust($file, '--yes', @$flags);
    is $run->{status}, 1, "$what is refused";
    like $run->{stderr}, $pattern, 'with the reason';
    is Cloud::read_file($file), $was, 'nothing has changed';
}

write_file("$folder/undated", "$name $ed25519\n");
refuses("$folder/undated", [], qr/nothing shows that the droplet/, 'a line of which nothing shows that it is older');
refuses("$folder/undated", [ '--fingerprint', 'SHA256:' . 'A' x 43 ], qr/shows no key with the fingerprint/,
    'another fingerprint');
is trust("$folder/undated", '--yes', '--fingerprint', $print)->{status}, 0, 'the fingerprint of the console settles it';
is found_keys("$folder/undated", $name), $new->{'ssh-ed25519'}, 'and is the key that is trusted';

$cloud->script('dns', 'set', $name, $cloud->{env}{HOSTLER_NAMESERVERS});
refuses("$folder/plain", [], qr/resolves to .* and the droplet has \Q$address\E/, 'a name that leads elsewhere');
$cloud->script('dns', 'set', $name, $address);

# Another SSH server on the droplet's address, while the droplet's own cable is out.
$cloud->script('droplet', 'link', $droplet->{id}, 'down');
my ($bridge) = qx(ip -o -4 addr show to $cloud->{env}{HOSTLER_NAMESERVERS}) =~ /^\d+: (\S+)/;
system('ip', 'addr', 'add', "$address/32", 'dev', $bridge) == 0 or die 'ip addr';
system(qw(ssh-keygen -q -t ed25519 -N), '', '-f', "$folder/impostor") == 0 or die 'ssh-keygen';
mkdir '/run/sshd';
$sshd = fork // die $!;
exec '/usr/sbin/sshd', '-D', '-f', '/dev/null', '-h', "$folder/impostor", '-o', "ListenAddress=$address",
    '-o', "PidFile=none" or die $! if !$sshd;

sub dismiss {
    return if !$sshd;
    local $?;
    kill TERM => $sshd;
    waitpid $sshd, 0;
    $sshd = 0;
    system 'ip', 'addr', 'del', "$address/32", 'dev', $bridge;
}
END { dismiss() }
eventually('the impostor', sub { qx(ssh-keyscan -T 1 $address 2>/dev/null) =~ /ssh-ed25519/ });
like ssh("$folder/plain", $name, 22), qr/IDENTIFICATION HAS CHANGED/, 'ssh sees an impostor';
refuses("$folder/$_", [], qr/was good on .* has not been made anew since/, "an impostor ($_)") for qw(plain hashed);
$cloud->script('droplet', 'link', $droplet->{id}, 'up');
act($cloud, $droplet, 'power_off');
refuses("$folder/plain", [], qr/is off, so whoever answers is not it/, 'an impostor while the droplet is off');
dismiss();
act($cloud, $droplet, 'power_on'); # one that is off cannot be cleared away
done_testing;
