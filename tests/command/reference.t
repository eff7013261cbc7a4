#!/usr/bin/perl
# `hostler show` explains modules, their functions, what these return, and the globals: from the annotations in the
# binary.
use strict;
use warnings;
use Hostler;
use Test::More;

my $folder = playbooks();

sub page {
    my ($name) = @_;
    my $run = hostler({ in => $folder }, 'show', $name);
    is $run->{status}, 0, "there is a page on $name" or diag $run->{stderr};
    return $run->{stdout};
}

my $connect = page('ssh.connect');
like $connect, qr/^ssh\.connect\(target, options\?\) -> ssh\.Host\n/, 'a function: its signature';
like $connect, qr/^  Connects to a host/m, 'its text';
like $connect, qr/^    port +integer$/m, 'the fields of its options';
like $connect, qr/^  raises +"ssh\.resolve"/m, 'what it raises';
like $connect, qr{^  hostler:modules/ssh/ssh\.lua:\d+$}m, 'where it stands';

like page('ssh.Host'), qr/^  :run\(argv, options\?\) +Runs a program/m, 'a class: its methods';
like page('ssh.Host'), qr/^  :stat\(path, options\?\) /m, 'those of another file too';
like page('digitalocean.Cloud'), qr/^  :find_database\(name\) /m, 'and those it inherits';
like page('ssh.Host:write'), qr/^    owner +string$/m, 'a method: the fields of its options';
like page('ssh'), qr/^  Hosts over SSH.*^  ssh\.connect\(target, options\?\) +Connects to a host/ms, 'a module: its functions';
like page('http.get'), qr/^http\.get\(url, options\?\) -> http\.Response\n/, 'a function made by another one';
like page('step'), qr/^    idempotent +boolean +may be run again/m, 'a global: what its options mean';
like page('secret'), qr/^  secret\(name, options\?\) .*^  secret\.random\(length\?\) /ms, 'a global table';
like page('json.decode'), qr/^json\.decode\(text\) -> any\n/, 'a function of one';
like page('caddy.UNIT'), qr/^caddy\.UNIT: string\n/, 'a constant';

playbook($folder, 'ssh', 'return playbook { summary = "A playbook of that name", run = function() end }');
like page('ssh'), qr/A playbook of that name/, 'a playbook comes first';

my $run = hostler({ in => $folder }, 'show', 'ssh.conect');
is $run->{status}, 2, 'what there is not is refused';
like $run->{stderr}, qr/no playbook 'ssh\.conect'/, 'and said';

done_testing;
