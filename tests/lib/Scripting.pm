# The examples of playbooks/SCRIPTING.md, and running them. Whole files ("-- NAME.lua" in the first line) are put into
# one folder, and the page's own command lines are run there. What is only a part of a playbook becomes one: with the
# `require` lines and the handles that the page says are left out, and within a step unless it has steps of its own.
# Everything is checked and rehearsed before it is run. "--> TEXT" behind a line is what the run says.
package Scripting;
use strict;
use warnings;
use Hostler;
use Test::More;

our $page = 'playbooks/SCRIPTING.md';

my @modules = map { m{([^/]+)\.lua$} } glob('modules/*.lua'), grep { m{/([^/]+)/\1\.lua$} } glob 'modules/*/*.lua';
my %is_module = map { $_ => 1 } @modules;
my $around = join '|', qw(instance site cloud mail ftp dns systemd caddy meltano machine packages surroundings digitalocean onepassword triage);
my %handle = (
    host  => { alone => 'ssh.connect "root@web1"', cloud => 'require "instance".of("ada").host' },
    cloud => { cloud => 'require "site".cloud()' },
);

# The text of the page, or of another file.
sub text {
    my $path = shift // $page;
    open my $file, '<', $path or die "$path: $!";
    local $/;
    return scalar <$file>;
}

# Every example: { line, code, file (its name, of a whole one), commands (below it), place ("alone", or "cloud" for those
# on what the local cloud has) }
sub examples {
    my ($text, @found, $example) = (text());
    my $number = 0;
    for my $line (split /\n/, $text) {
        $number++;
        if ($line eq '```lua') {
            push @found, $example = { line => $number + 1, code => '', commands => [], open => 1 };
        } elsif ($line eq '```') {
            $example->{open} = 0;
        } elsif ($example && $example->{open}) {
            $example->{code} .= "$line\n";
        } elsif ($line =~ /^    \$ hostler (.*)/) {
            push @{ $example->{commands} }, $1;
        }
    }
    for (@found) {
        $_->{file} = $1 if $_->{code} =~ /\A-- ([\w-]+\.lua)$/m;
        (my $code = $_->{code}) =~ s/"(?:[^"\\]|\\.)*"|--.*//g;
        $_->{place} = !$_->{file} && $code =~ /\b(?:$around)\b[.:(\[]/ ? 'cloud' : 'alone';
    }
    return @found;
}

# A part of a playbook as one that can be run.
sub whole {
    my ($example) = @_;
    my $code = $example->{code};
    my $before = '';
    for my $name (@modules) {
        next if $name ne 'ssh' && ($code !~ /(?<![\w."-])$name[.(\[]/ || $code =~ /^local $name\b/m);
        $before .= "local $name = require \"$name\"\n";
    }
    for my $name (sort keys %handle) {
        next if $code !~ /\b$name\b[.:,)]/ || $code =~ /^local $name\b/m;
        $before .= "local $name = $handle{$name}{ $example->{place} }\n";
    }
    $code = "step(\"example\", function()\n$code" . "end)\n" if $code !~ /^\s*(?:local \w+ = )?step\(/m;
    return "return playbook { summary = \"an example\", run = function()\n$before$code" . "end }\n";
}

# What an example says it says.
sub promises { return $_[0]{code} =~ /--> (.*\S)/g }

sub quoted_words {
    my ($command) = @_;
    return map { s/^"|"$//gr } $command =~ /"[^"]*"|\S+/g;
}

# Runs hostler; where a person is asked, "yes" is the answer.
sub run {
    my ($hostler, @arguments) = @_;
    my $run = $hostler->(@arguments);
    for (1 .. 10) {
        last if $run->{status} != 3;
        my ($id) = $run->{stderr} =~ /hostler answer (\w+) VALUE/ or last;
        my $next = $hostler->('answer', $id, 'yes');
        $run = { %$next, stdout => $run->{stdout} . $next->{stdout} };
    }
    return $run;
}

sub run_part {
    my ($hostler, $folder, $example) = @_;
    my $name = "example-$example->{line}";
    playbook($folder, $name, whole($example));
    my $check = $hostler->('check', $name);
    is $check->{status}, 0, "nothing is found in line $example->{line}" or diag "$check->{stdout}$check->{stderr}";
    my $rehearsal = run($hostler, 'run', $name, '--dry-run');
    is $rehearsal->{status}, 0, "line $example->{line}, rehearsed" or diag "$rehearsal->{stdout}$rehearsal->{stderr}";
    my $run = run($hostler, 'run', $name);
    is $run->{status}, 0, "line $example->{line}" or diag "$run->{stdout}$run->{stderr}";
    says($run, $example);
}

sub says {
    my ($run, $example) = @_;
    like $run->{stdout}, qr/\Q$_\E/, "it says '$_'" for promises($example);
}

# The page's command lines below a whole playbook; what it runs is rehearsed first. RUN is the last run.
sub run_commands {
    my ($hostler, $example) = @_;
    my ($said, $last) = ('', '');
    my $check = $hostler->('check', $example->{file} =~ s/\.lua$//r);
    is $check->{status}, 0, "nothing is found in $example->{file}" or diag "$check->{stdout}$check->{stderr}";
    for my $command (@{ $example->{commands} }) {
        my @words = map { $_ eq 'RUN' ? $last : $_ } quoted_words($command);
        if ($words[0] eq 'run' && $command !~ / --(?:help|dry-run|record|replay)/) {
            my $rehearsal = run($hostler, @words, '--dry-run');
            is $rehearsal->{status}, 0, "hostler $command, rehearsed" or diag "$rehearsal->{stdout}$rehearsal->{stderr}";
        }
        my $run = run($hostler, @words);
        is $run->{status}, 0, "hostler $command" or diag "$run->{stdout}$run->{stderr}";
        $said .= $run->{stdout};
        ($last) = $hostler->('runs')->{stdout} =~ /^(\w+)/ if $words[0] eq 'run';
    }
    says({ stdout => $said }, $example) if @{ $example->{commands} };
}

# ---- what there is, and what the page tells of ----

# The modules that the shipped playbooks require, and that are hostler's own.
sub required {
    my %required;
    for my $path (glob 'playbooks/*.lua playbooks/parts/*.lua') {
        open my $file, '<', $path or die "$path: $!";
        $required{$_} = 1 for map { /require "(\w+)"/g } <$file>;
    }
    return grep { $is_module{$_} } sort keys %required;
}

# The parts of the shipped playbooks that the page tells of.
sub parts {
    my ($section) = text() =~ /^# Parts\n(.*?)^(?:# |```)/ms;
    return sort map { /`(\w+)`/g } $section =~ /^- .*\n(?:  .*\n)*/mg;
}

# The globals, the modules' functions, and the methods of what these return, from what `hostler stubs` writes: "step",
# "ssh.connect", "ssh.Host:run", each with the names of its options.
sub names {
    my ($folder) = @_;
    hostler({ in => $folder }, 'stubs', "$folder/stubs")->{status} == 0 or die 'hostler stubs failed';
    my (%names, %fields, %parent, %members);
    for my $path (glob "$folder/stubs/*.lua") {
        open my $file, '<', $path or die "$path: $!";
        my ($class, @options, %class_of);
        while (my $line = <$file>) {
            if ($line =~ /^---\@class ([\w.]+)(?:: ([\w.]+))?/) {
                ($class, $parent{$1}) = ($1, $2);
                $fields{$class} ||= [];
            } elsif (my ($field, $type) = $line =~ /^---\@field (\w+)\?? (\S+)/) {
                push @{ $fields{$class} }, $field;
                push @{ $members{$class} }, [ $field, [] ] if $type =~ /^fun\(/ && $class !~ /\./;
            } elsif ($line =~ /^---\@param \S+ (.*)/) {
                push @options, options_of($1);
            } elsif ($line =~ /^local (\w+) = \{\}/) {
                $class_of{$1} = $class;
            } elsif ($line =~ /^function (?:(\w+)[.:])?(\w+)\(/) {
                if (!$1) { $names{$2} = [@options] }
                else     { push @{ $members{ $class_of{$1} } }, [ $2, [@options] ] }
                @options = ();
            } elsif ($line !~ /^---/) {
                @options = ();
            }
        }
    }
    for my $class (keys %members) {
        my $own = $class =~ s/^(json|secret|webhook)lib$/$1/r;
        for my $heir ($own, grep { ($parent{$_} // '') eq $own } keys %parent) {
            $names{ $heir . ($heir =~ /\./ ? ':' : '.') . $_->[0] } = $_->[1] for @{ $members{$class} };
        }
    }
    delete $names{$_} for grep { /^(?:digitalocean\.Databases|meltano\.Settings):/ } keys %names;
    $names{$_} = [ map { ref $_ ? @{ $fields{$$_} || [] } : $_ } @{ $names{$_} } ] for keys %names;
    $names{secret} = ['optional'];
    $names{require} = [];
    $names{webhook} = $fields{Webhook};
    $names{'webhook.hmac'} = [qw(header prefix algorithm encoding time time_prefix signed window)];
    $names{'webhook.standard'} = ['window'];
    $names{exactly_one} = [qw(things name label code hint target)];
    return \%names;
}

# The options among a parameter's type: the fields of a table written out, or a reference to the name of their class.
sub options_of {
    my ($type) = @_;
    if ($type =~ /^(\{(?:[^{}]|(?1))*\})/) {
        my $fields = substr $1, 1, -1;
        $fields =~ s/\{(?:[^{}]|(?R))*\}//g;
        return $fields =~ /(?:^|,)\s*(\w+)\??:/g;
    }
    return () if $type !~ /^(?:[\w|]+\|)?([a-z_]+\.(?:Options|RunOptions|Request)|Playbook)\b/;
    my $class = $1;
    return \$class;
}

# What the page tells of: { names => { "ssh.Host:run" => its entry }, options => { ... => [names in braces] }, sections =>
# { ssh => 1 }, beside => { "site.cloud" => the file of the module } }.
sub told {
    my (%told, $module, $class);
    my $text = text() =~ s{^```lua\n.*?^```\n}{}gmsr;
    for my $part (split /^(?=#+ |- |\n)/m, $text) {
        if ($part =~ /^(#+) (.*)/) {
            ($module, $class) = $1 eq '##' ? ($2, undef) : ($module, $2 =~ /`([\w.]+)`/) if length $1 > 1;
            $told{sections}{$module} = 1 if defined $module && $is_module{$module};
        }
        next if $part !~ /^- /;
        for my $entry (split /(?=`[\w.:]+(?:\([^`]*|\s*\{[^`]*)`)/, $part) {
            my ($called, $arguments) = $entry =~ /^`([\w.:]+)([ ({][^`]*)`/ or next;
            next if $called !~ /\W/ && ($called eq 'fn' || $is_module{ $module // '' } && $called ne $module);
            if ($called =~ /^(\w+)\./ && !$is_module{$1} && -e "playbooks/$1.lua") {
                $told{beside}{$called} = "playbooks/$1.lua";
                next;
            }
            my $name = $called =~ /^\w+:(\w+)$/ ? "$class:$1" : $called;
            $told{names}{$name} .= $part;
            $told{sections}{$1} = 1 if $name =~ /^(\w+)\.\w+$/;
            push @{ $told{options}{$name} }, map { split /,\s*/ } $arguments =~ /\{([\w,\s]*)\}/g;
        }
    }
    return \%told;
}

1;
