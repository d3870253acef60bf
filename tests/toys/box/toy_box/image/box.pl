# A service in one file. Settings are lines "name value", in $BOX_SETTINGS or in the file named first.
#
#   AUTH user password   first of all        KEYS             all keys, sorted
#   SET key text         put it in           DEL key          take it out
#   GET key              what is in, or "-"  ADD key number   add to what is in, in one step
#   for the administrator:
#   BOOT                 another value for each start
#   COUNT                how many commands the learner's server sent since FLUSH
#   LOG number           what it sent since then, without the first so many: how many follow, then a line for each
#   CLEAR                take all out            FLUSH            the same, with log and count
use strict;
use warnings;
use IO::Handle;
use IO::Select;
use IO::Socket::INET;

my $settings = $ENV{BOX_SETTINGS};
if (@ARGV) { open my $file, '<', $ARGV[0] or die "$ARGV[0]: $!\n"; local $/; $settings = <$file>; }
my %set = map { /^(\w+) (.*)$/ ? ($1, $2) : () } split /\n/, $settings;
STDOUT->autoflush(1);
$SIG{TERM} = sub { print "bye\n"; exit 0 };
$SIG{PIPE} = 'IGNORE';

my (%value, @log, %held, $sessions);
if (open my $file, '<', "$set{data}/values") { while (<$file>) { chomp; my ($key, $text) = split /\t/, $_, 2; $value{$key} = $text } }
my $boot = time . ".$$";
my $listener = IO::Socket::INET->new(LocalAddr => $set{bind}, LocalPort => $set{port}, Listen => 128, ReuseAddr => 1)
    or die "$set{port}: $!\n";
my $waiting = IO::Select->new($listener);
print "ready\n";

# perl-base, which is all that the image has, is without Time::HiRes.
my $fine = eval { require Time::HiRes; 1 };
sub now { return $fine ? sprintf '%.6f', Time::HiRes::time() : qx(date +%s.%N) =~ s/\n//r }

sub keep {
    open my $file, '>', "$set{data}/values.new" or die "$set{data}: $!\n";
    print $file "$_\t$value{$_}\n" for sort keys %value;
    close $file or die "$!\n";
    rename "$set{data}/values.new", "$set{data}/values" or die "$!\n";
    return 'OK';
}

sub administer {
    my ($word, $from) = @_;
    if ($word eq 'BOOT') { return $boot }
    if ($word eq 'COUNT') { return scalar @log }
    if ($word eq 'LOG') { my @rest = @log[$from .. $#log]; return join "\n", scalar @rest, @rest }
    if ($word eq 'CLEAR' || $word eq 'FLUSH') { %value = (); @log = () if $word eq 'FLUSH'; return keep() }
    return 'ERR no such word';
}

sub answer {
    my ($state, $line) = @_;
    my ($word, $key, $text) = split / /, $line, 3;
    if ($word eq 'AUTH') {
        my $right = $key eq 'admin' ? $set{admin_password} : $key eq $set{user} ? $set{password} : undef;
        return 'ERR who are you?' if !defined $right || $text ne $right;
        $state->{user} = $key;
        return 'OK';
    }
    return 'ERR AUTH first' if !$state->{user};
    my $admin = $state->{user} eq 'admin';
    push @log, join ' ', now(), $state->{number}, $line if !$admin;
    if ($word eq 'GET') { return $value{$key} // '-' }
    if ($word eq 'SET') { $value{$key} = $text; return keep() }
    if ($word eq 'ADD') { $value{$key} = ($value{$key} // 0) + $text; keep(); return $value{$key} }
    if ($word eq 'DEL') { delete $value{$key}; return keep() }
    if ($word eq 'KEYS') { return join ' ', sort keys %value }
    return $admin ? administer($word, $key) : 'ERR no such word';
}

while (1) {
    for my $ready ($waiting->can_read) {
        if ($ready == $listener) {
            my $client = $listener->accept or next;
            $client->autoflush(1);
            $held{$client} = { number => ++$sessions, rest => '' };
            $waiting->add($client);
            next;
        }
        my $state = $held{$ready};
        if (!sysread $ready, $state->{rest}, 65536, length $state->{rest}) {
            $waiting->remove($ready);
            delete $held{$ready};
            close $ready;
            next;
        }
        while ($state->{rest} =~ s/^(.*?)\r?\n//) { print $ready answer($state, $1), "\n" }
    }
}
