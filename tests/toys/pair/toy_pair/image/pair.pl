# A service in one file. Settings are lines "name value", in $PAIR_SETTINGS or in the file named first.
#
#   AUTH user password    first of all           SET key value    on all nodes: "OK 2", how many have it
#   GET key               the value, or "-"      KEEP key value   on this node alone (the administrator)
#   COUNT                 how many keys there are
#   BOOT                  another value for each start
#   NODES                 on the keeper's endpoint: the numbers of the nodes that answer
use strict;
use warnings;
use IO::Handle;
use IO::Select;
use IO::Socket::INET;

my $settings = $ENV{PAIR_SETTINGS};
if (@ARGV) { open my $file, '<', $ARGV[0] or die "$ARGV[0]: $!\n"; local $/; $settings = <$file>; }
my %set = map { /^(\w+) ?(.*)$/ ? ($1, $2) : () } split /\n/, $settings;
my $boot = time . ".$$";
my @peers = split / /, $set{peers};
STDOUT->autoflush(1);
$SIG{TERM} = sub { print "bye\n"; exit 0 };
$SIG{PIPE} = 'IGNORE';

my (%value, %held);
if (open my $file, '<', "$set{data}/values") { while (<$file>) { chomp; my ($key, $text) = split /\t/, $_, 2; $value{$key} = $text } }

sub listener {
    IO::Socket::INET->new(LocalAddr => $set{bind}, LocalPort => $_[0], Listen => 64, ReuseAddr => 1) or die "$!\n";
}
my ($clients, $keeper) = (listener($set{port}), listener($set{keeper_port}));
my $waiting = IO::Select->new($clients, $keeper);
print "node $set{node} ready\n";

sub keep {
    my ($key, $text) = @_;
    $value{$key} = $text;
    open my $file, '>', "$set{data}/values.new" or die "$set{data}: $!\n";
    print $file "$_\t$value{$_}\n" for sort keys %value;
    close $file or die "$!\n";
    rename "$set{data}/values.new", "$set{data}/values" or die "$!\n";
    open my $log, '>>', "$set{log}/changes" or die "$set{log}: $!\n";
    print $log "$key\n";
}

sub ask {    # what a peer answers, or nothing
    my ($peer, $line) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => $peer, Timeout => 1) or return '';
    $socket->autoflush(1);
    my $answer;
    eval {    # a frozen peer says nothing for ever
        local $SIG{ALRM} = sub { die "late\n" };
        alarm 1;
        print $socket "AUTH admin $set{admin_password}\n$line\n";
        $answer = <$socket>;
        $answer = <$socket> if defined $answer;
        alarm 0;
        1;
    } or return '';
    return $answer // '';
}

sub others { my $own = $set{node} - 1; return @peers[grep { $_ != $own } 0 .. $#peers] }

sub answer {
    my ($client, $line) = @_;
    my ($word, @rest) = split / /, $line;
    my $state = $held{$client};
    if ($word eq 'AUTH') {
        my ($user, $password) = @rest;
        my $right = $user eq 'admin' ? $set{admin_password} : $user eq $set{user} ? $set{password} : undef;
        return 'ERR who are you?' if !defined $right || $password ne $right;
        $state->{user} = $user;
        return 'OK';
    }
    return 'ERR AUTH first' if !$state->{user};
    if ($word eq 'GET') { return $value{$rest[0]} // '-' }
    if ($word eq 'BOOT') { return $boot }
    if ($word eq 'COUNT') { return scalar keys %value }
    if ($word eq 'KEEP' && $state->{user} eq 'admin') { keep(@rest); return 'OK' }
    if ($word eq 'SET') {
        keep(@rest);
        return 'OK ' . (1 + grep { ask($_, "KEEP @rest") =~ /^OK/ } others());
    }
    if ($word eq 'NODES' && $state->{keeper}) {
        my @up = grep { $_ == $set{node} - 1 || ask($peers[$_], 'GET x') ne '' } @peers ? 0 .. $#peers : $set{node} - 1;
        return join ' ', map { $_ + 1 } @up;
    }
    return 'ERR no such word';
}

while (1) {
    for my $ready ($waiting->can_read) {
        if ($ready == $clients || $ready == $keeper) {
            my $client = $ready->accept or next;
            $client->autoflush(1);
            $held{$client} = { keeper => $ready == $keeper, rest => '' };
            $waiting->add($client);
            next;
        }
        my $state = $held{$ready};
        if (!sysread $ready, $state->{rest}, 4096, length $state->{rest}) {
            $waiting->remove($ready);
            delete $held{$ready};
            close $ready;
            next;
        }
        while ($state->{rest} =~ s/^(.*?)\r?\n//) { print $ready answer($ready, $1), "\n" }
    }
}
