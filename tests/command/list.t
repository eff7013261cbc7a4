#!/usr/bin/perl
# hostler list, show, help, version.
use strict;
use warnings;
use File::Path qw(make_path);
use JSON::PP ();
use Test::More;
use Hostler;

sub book { return "-- What it is for.\n-- In two lines.\nreturn playbook {\n  summary = \"$_[0]\",\n  handbook = \"A page\",\n  params = { arg(\"tenant\", \"subdomain\", \"which\") },\n  run = function() end,\n}\n" }

my $in = playbooks(inventory => book('the first'), broken => "return playbook {\n  summary = ,\n}", site => 'return {}', wrong => "return playbook {\n  summary = 5,\n}");
mkdir "$in/playbooks/parts" or die $!;
playbook($in, 'parts/shared', '-- what a playbook { } shares\nreturn {}');
for my $place (qw(path config/hostler/playbooks)) {
    make_path("$in/$place/playbooks");
    rename "$in/$place/playbooks", "$in/$place/x";
    playbook_at("$in/$place", 'inventory', book("from $place"));
    playbook_at("$in/$place", $place =~ /path/ ? 'second' : 'third', book("from $place"));
}
sub playbook_at { my ($folder, $name, $source) = @_; open my $f, '>', "$folder/$name.lua" or die $!; print $f $source; close $f }
my $options = { in => $in, env => { HOSTLER_PATH => "$in/path:/nonexistent:", XDG_CONFIG_HOME => "$in/config" } };

my $list = hostler($options, 'list');
is($list->{status}, 0, 'list');
like($list->{stdout}, qr/^  inventory  +the first \[.*shadows .*path\/inventory\.lua, .*config/m, 'the first wins, and what it shadows is shown');
like($list->{stdout}, qr/^  second  +from path$/m, 'HOSTLER_PATH');
like($list->{stdout}, qr/^  third  +from config/m, 'XDG_CONFIG_HOME');
like($list->{stdout}, qr/^  broken  +does not load: line 2: unexpected symbol/m, 'a broken playbook is listed with its error');
like($list->{stdout}, qr/^  wrong  +does not load: line 2: the field 'summary'/m, 'so is a wrong one');
unlike($list->{stdout}, qr/site|shared/, 'a module is not, nor a part');
my $rows = JSON::PP->new->decode(hostler($options, 'list', '--json')->{stdout});
my %row = map { $_->{name} => $_ } @$rows;
is($row{inventory}{summary}, 'the first', '--json');
is(scalar @{ $row{inventory}{shadows} }, 2, 'with what is shadowed');
is_deeply($row{second}{shadows}, [], 'also when nothing is');
like($row{broken}{problem}, qr/line 2/, 'and problems');
is(hostler($options, 'list', 'x')->{status}, 2, 'list takes no arguments');
like(hostler({ in => playbooks(), env => { HOSTLER_PATH => '' } }, 'list')->{stdout}, qr/\S/, 'an empty folder');

my $show = hostler($options, 'show', 'inventory');
is($show->{status}, 0, 'show');
like($show->{stdout}, qr/inventory — the first.*What it is for\.\n  In two lines\..*usage: hostler run inventory TENANT.*TENANT  which.*handbook  A page.*file .*playbooks\/inventory\.lua.*shadows/s, 'everything about it');
is(hostler($options, 'show', 'inventor')->{status}, 2, 'show of what is not there');
like(hostler($options, 'show', 'inventor')->{stderr}, qr/did you mean 'inventory'/, 'suggests');
like(hostler($options, 'show', 'broken')->{stderr}, qr/broken\.lua:2: unexpected symbol/, 'show of a broken one');
is(hostler($options, 'show')->{status}, 2, 'show of nothing');

like(hostler('version')->{stdout}, qr/^hostler \d+\.\d+\S*\n$/, 'version');
like(hostler('--version')->{stdout}, qr/^hostler/, '--version');
like(hostler('version', '--libraries')->{stdout}, qr/libuv +\d/, 'and of the libraries');
is(hostler('version', '--x')->{status}, 2, 'version --x');
for my $help ('help', '--help', '-h') {
    like(hostler($help)->{stdout}, qr/hostler run .*hostler list /s, $help);
}
like(hostler('help', 'run')->{stdout}, qr/usage: hostler run NAME.*--dry-run/s, 'help run');
like(hostler('list', '--help')->{stdout}, qr/usage: hostler list/, 'list --help');
is(hostler('help', 'nothing')->{status}, 2, 'help nothing');
like(hostler('help', 'lst')->{stderr}, qr/did you mean `hostler list`/, 'help lst');

my $json = hostler({ in => playbooks(book => "return playbook { summary = 's', run = function() say('a\\255b\\27') step('one \"x\"', function() return 5 end) end }") },
    'run', 'book', '--json');
my @events = map { JSON::PP->new->utf8->decode($_) } split /\n/, $json->{stdout};
is($events[0]{event}, 'run.begin', 'run --json: each line is an event');
is($events[-1]{event}, 'run.end', 'to the end');
ok((grep { $_->{event} eq 'step.end' && $_->{status} eq 'done' && $_->{name} eq 'one "x"' } @events), 'with its steps');
done_testing;
