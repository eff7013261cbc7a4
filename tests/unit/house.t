#!/usr/bin/perl
# The house: which file uses which, read from the sources. Rooms depend on each other one way, no file reaches itself by
# what it uses, and every import is placed. The rooms and their order are those of runtime/README.md.
use strict;
use warnings;
use Test::More;

# Each may use those before it, and itself.
my $map = slurp('runtime/README.md');
my @ROOMS = $map =~ /^\| `(\w+)` \|/mg;
my %ORDER = map { $ROOMS[$_] => $_ } 0 .. $#ROOMS;
# What makes the world stands below the commands, which run in it; the program on top of all.
my ($WORLD, $PROGRAM) = ($ORDER{command} - 0.5, scalar @ROOMS);

sub slurp {
    my ($path) = @_;
    open my $file, '<', $path or die "$path: $!";
    local $/;
    return scalar <$file>;
}

sub without_comments {
    my ($text, $path) = @_;
    return $text =~ s{--\[\[.*?\]\]|--[^\n]*}{}gsr if $path =~ /\.lua$/;
    return $text =~ s{/\*.*?\*/}{}gsr;
}

my @files = sort grep { -f } map { glob "$_/*.c $_/*.h $_/*.lua" } qw(runtime runtime/* runtime/*/* modules modules/*
    playbooks playbooks/parts);
my %is_file = map { $_ => 1 } @files;
my (%uses, @unplaced);

# ---- what each file uses ----

sub lua_file {
    my ($name) = @_;
    return (grep { $is_file{$_} } "runtime/$name.lua", "modules/$name.lua")[0];
}

sub module_file {
    my ($name) = @_;
    return undef if $name =~ m{/};    # `require` takes a name
    return (grep { $is_file{$_} } "modules/$name/$name.lua", "modules/$name.lua",
        map { "playbooks/$_$name.lua" } '', 'parts/')[0];
}

# A text in quotes, and what `import` or `require` is given. The two files that load others by a name they compute may:
# the world, whose list of the prelude counts as imports, and `require`, which loads modules for playbooks.
my %COMPUTES = map { $_ => 1 } qw(runtime/world.lua runtime/run/modules.lua);

sub read_lua {
    my ($path, $text) = @_;
    while ($text =~ /(?<![.:\w])(import(?:\.later)?|require)\b\s*(\(?)\s*(?:"([^"]*)"|(.))?|"((?:\\.|[^"\\\n])*)"|'(?:\\.|[^'\\\n])*'/g) {
        my ($how, $called, $name, $else, $quoted) = ($1, $2, $3, $4, $5);
        if (!defined $how) {
            my $prelude = $path eq 'runtime/world.lua' && lua_file($quoted // '');
            $uses{$path}{$prelude} = 'import' if $prelude;
        } elsif (!defined $name) {
            push @unplaced, "$path: $how of what is computed" if $called && !$COMPUTES{$path};
        } elsif (my $found = $how eq 'require' ? module_file($name) : lua_file($name)) {
            $uses{$path}{$found} = $how;
        } else {
            push @unplaced, "$path: $how $name";
        }
    }
}

# The lines where something else is done with these two than to give them a name in double quotes.
sub disguised {
    my ($path, $text) = @_;
    return if $COMPUTES{$path} || $path eq 'runtime/run/script.lua';
    $text =~ s/"(?:\\.|[^"\\\n])*"/""/g;
    $text =~ s/^local (?:\w+, )+import = \.\.\.$//mg;
    return grep { /(?<![.:\w])(?:import|require)\b(?!(?:\.later)? "")/ } split /\n/, $text;
}

sub read_c {
    my ($path, $text) = @_;
    for my $name ($text =~ /^\s*#\s*include\s+"([^"]+)"/mg) {
        my ($found) = grep { $is_file{$_} } "runtime/$name", "modules/$name";
        if ($found) { $uses{$path}{$found} = 'include' }
        else        { push @unplaced, "$path: include $name" }
    }
}

for my $path (@files) {
    my $text = slurp($path);
    $text = without_comments($text, $path);
    if ($path =~ /\.lua$/) {
        $text =~ s/\[(=*)\[.*?\]\1\]//gs;
        read_lua($path, $text);
        push @unplaced, map { "$path: $_" } disguised($path, $text);
        push @unplaced, "$path: people's code has no import" if $path =~ /^playbooks/ && $text =~ /(?<![.:\w"])import\b/;
    } else {
        read_c($path, $text);
    }
}
my $count = 0;
$count += keys %$_ for values %uses;
cmp_ok @files, '>', 250, 'the sources were found';
cmp_ok $count, '>', 600, 'and what they use';
is join("\n", @unplaced), '', 'every import is placed';

# ---- circles ----

# A C file and its header are one unit, and so is each Lua file.
sub unit {
    my ($path) = @_;
    return $path =~ s/\.[ch]$//r;
}

my %graph;
for my $from (keys %uses) {
    for my $to (keys %{ $uses{$from} }) {
        $graph{ unit($from) }{ unit($to) } = 1 if unit($from) ne unit($to);
    }
}

# The groups of units that reach each other (Tarjan).
sub circles {
    my ($graph) = @_;
    my (%number, %lowest, %waits, @stack, @found);
    my $next = 0;
    my $visit;
    $visit = sub {
        my ($node) = @_;
        $number{$node} = $lowest{$node} = $next++;
        push @stack, $node;
        $waits{$node} = 1;
        for my $other (sort keys %{ $graph->{$node} || {} }) {
            if (!defined $number{$other}) {
                $visit->($other);
                $lowest{$node} = $lowest{$other} if $lowest{$other} < $lowest{$node};
            } elsif ($waits{$other} && $number{$other} < $lowest{$node}) {
                $lowest{$node} = $number{$other};
            }
        }
        if ($lowest{$node} == $number{$node}) {
            my @group;
            do {
                push @group, my $member = pop @stack;
                $waits{$member} = 0;
            } until $group[-1] eq $node;
            push @found, [ sort @group ] if @group > 1;
        }
    };
    for my $node (sort keys %$graph) { $visit->($node) if !defined $number{$node} }
    return @found;
}

# ---- the map is true ----

my @named = map { /^`([^`\s]+\.(?:lua|c|h))`$/ ? $1 : () } $map =~ /(`[^`\n]+`)/g;
cmp_ok @named, '>', 40, 'the map names files';
is join("\n", grep { !-f && !-f "runtime/$_" && !/\bx\.|NAME\./ } @named), '', 'which are there';
is join(' ', sort @ROOMS), join(' ', sort grep { $_ ne 'embed' } map { m{^runtime/(\w+)/$} } glob 'runtime/*/'),
    'it names every room';

is_deeply [ circles({ a => { b => 1 }, b => { c => 1 }, c => { a => 1 }, d => { a => 1 } }) ], [ [qw(a b c)] ],
    'a circle is found';
sub edges_of {
    my %in = map { $_ => 1 } @_;
    return map { my $from = $_; map { "$from -> $_" } grep { $in{$_} } sort keys %{ $graph{$from} } } @_;
}
is join("\n", map { edges_of(@$_) } circles(\%graph)), '', 'no file reaches itself by what it uses';

# ---- directions ----

# The floor a file stands on; modules stand on one of their own, above the runtime's rooms that they may know.
sub floor_of {
    my ($path) = @_;
    return $ORDER{$1} if $path =~ m{^runtime/([^/]+)/} && defined $ORDER{$1};
    return undef if $path =~ m{^runtime/[^/]+/};
    return $path eq 'runtime/main.c' ? $PROGRAM : $WORLD;
}

my (@wrong, @strange);
for my $from (sort keys %uses) {
    for my $to (sort keys %{ $uses{$from} }) {
        my $edge = "$from -> $to";
        if ($from =~ m{^playbooks/}) {
            push @wrong, "$edge (people's code)" if $to !~ m{^(?:playbooks|modules)/};
            push @wrong, "$edge (a part uses a playbook)" if $from =~ m{/parts/} && $to =~ m{^playbooks/(?!site\.)[^/]+$};
            next;
        }
        push @wrong, "$edge (what is built in knows no playbook)" if $to =~ m{^playbooks/};
        if ($from =~ m{^modules/}) {
            my ($folder) = $from =~ m{^modules/([^/]+)/};
            my ($other) = $to =~ m{^modules/([^/]+)/};
            my $is_face = $to =~ m{^modules/([^/]+)/\1\.lua$};
            push @wrong, "$edge (a part of another module)"
                if $other && !$is_face && $to =~ /\.lua$/ && ($folder // '') ne $other;
            push @wrong, "$edge (a module knows the rooms up to report)"
                if $to =~ m{^runtime/} && $to !~ m{^runtime/(?:base|task|event|net|journal|gate|run|report)/};
            next;
        }
        my ($above, $below) = map { floor_of($_) } $from, $to;
        push @strange, grep { !defined floor_of($_) } $from, $to if !defined $above || !defined $below;
        next if !defined $above || !defined $below;
        push @wrong, "$edge (modules stand above)" if $to =~ m{^modules/} && $from !~ m{^runtime/modules\.c$};
        push @wrong, $edge if $below > $above && $to !~ m{^modules/};
    }
}
is join("\n", @strange), '', 'every file of the runtime is in a room that the order names';
is join("\n", @wrong), '', 'files use what stands below them';

# ---- habits ----

my (@hidden, @writes, @site);
for my $path (grep { /\.lua$/ } @files) {
    my $text = without_comments(slurp($path), $path);
    # What a file uses stands at its top level: in lists of locals, which may go on in further lines, or in a statement.
    my $use = qr/(?:import(?:\.later)?|require) "[^"]+"|native[\w.]*/;
    my $rest = $path eq 'runtime/world.lua' ? '' : $text =~ s/^local [\w, ]+ =\s+$use(?:,\s+$use)*$//mgr;
    push @hidden, map { "$path: $_" } grep { /(?<!")\bimport(?:\.later)? "/ && /^\s|\bfunction\b/ } split /\n/, $rest;
    push @site, map { "$path: $_" } grep { /"site"/ } split /\n/, $text if $path =~ /^runtime/;
    push @writes, "$path: $1" while $text =~ /\b((?:event\.emit|native\.\w+)\s*=(?!=)|function (?:event|native)[.:]\w+)/g;
}
is join("\n", @hidden), '', 'no import is hidden in a function';
is join("\n", @writes), '', 'nobody replaces a function of the host';
is join("\n", @site), '', 'no file of the runtime names a module of the site';

done_testing;
