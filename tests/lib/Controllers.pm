# Droplets that serve as controllers: the program under test in them, playbooks, and what a command there says.
package Controllers;
use strict;
use warnings;
use Droplets;
use Exporter 'import';
use Hostler ();
use JSON::PP ();

our @EXPORT = qw(new_controller inside_path put on on_as_json new_person);

# Where a file of it is seen from here.
sub inside_path { "/run/hostler-cloud/$ENV{HOSTLER_CLOUD}/droplets/$_[0]{id}/root$_[1]" }

sub put {
    my ($host, $path, $text) = @_;
    write_file(inside_path($host, $path), $text);
}

# What a command in it says, with its errors; its exit status is in $?.
sub on {
    my ($host, @command) = @_;
    return $host->{cloud}->inside($host, 'sh', '-c', 'exec "$@" 2>&1', 'sh', @command) // '';
}

sub on_as_json {
    my ($host, @command) = @_;
    my $text = on($host, @command);
    return eval { JSON::PP::decode_json($text) } // die "@command: $text";
}

# One with the program under test, the libraries that the image lacks, and the folders of hostler.
sub new_controller {
    my ($cloud, $name) = @_;
    my $host = new_droplet($cloud, $name);
    $host->{cloud} = $cloud;
    for my $library ($Hostler::binary, `ldd $Hostler::binary` =~ m{=> (/\S+)}g) {
        my $place = inside_path($host, $library eq $Hostler::binary ? '/usr/local/bin/hostler' : $library);
        system('cp', '-L', $library, $place) == 0 or die 'cp failed' if !-e $place;
    }
    on($host, qw(mkdir -p /etc/hostler/playbooks /etc/hostler/credentials));
    return $host;
}

# A user with a systemd of their own; returns the words before their commands. The image has no pam_systemd, which would
# say where the user's runtime directory is.
sub new_person {
    my ($host, $user) = @_;
    on($host, 'sh', '-c', "useradd --create-home $user" . ' && mkdir -p /etc/systemd/system/user@.service.d
        printf "[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/%%i\n" >/etc/systemd/system/user@.service.d/here.conf
        systemctl daemon-reload && systemctl start user@$(id -u ' . "$user)");
    die "$user has no systemd\n" if $?;
    my $id = on($host, 'id', '-u', $user) =~ s/\n//r;
    return ('setpriv', "--reuid=$user", "--regid=$user", '--init-groups', 'env', "HOME=/home/$user", "XDG_RUNTIME_DIR=/run/user/$id");
}

1;
