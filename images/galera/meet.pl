# Who begins: the nodes of one cluster tell each other where they stand before the first of them starts.
#
#   meet.pl NODE UUID:SEQNO HOST...   prints `begin` (this node is the first), `follow` (another one is) or `join` (the
#                                     cluster runs already), and goes on to answer the others for as long as the node lives
#
# Each tells all others `NODE waiting SEQNO`, again and again, and who runs answers `NODE running`. Who hears that somebody
# runs joins. Who hears that all wait knows what all know: the one with the newest data begins, of equal ones the first.
# Where one is away all others wait for it: it may have the newest data.
use strict;
use warnings;
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use Socket qw(inet_aton pack_sockaddr_in);
use Time::HiRes qw(time);

my ($node, $position, @hosts) = @ARGV;
my $port = 4569;
my ($seqno) = $position =~ /:(-?\d+)$/ or die "$position is no position\n";
my $line = "$node waiting $seqno";
STDOUT->autoflush(1);
my $socket = IO::Socket::INET->new(Proto => 'udp', LocalPort => $port) or die "$port: $!\n";
my $ready = IO::Select->new($socket);
my @others = grep { $_ != $node } 1 .. @hosts;

sub place {    # where a node is; nothing while its name is not known
    my ($host) = @_;
    my $found;
    eval {
        local $SIG{ALRM} = sub { die "late\n" };
        alarm 1;
        $found = inet_aton($host);
        alarm 0;
    };
    return $found && pack_sockaddr_in($port, $found);
}

my (%heard, %when);
sub hear {    # what comes within so many seconds; who waits and asks one that runs is told
    my ($until, $running) = (time + $_[0], $_[1]);
    while ((my $left = $until - time) > 0) {
        $ready->can_read($left) or return;
        my $from = $socket->recv(my $said, 100) or next;
        my ($who, $what) = $said =~ /^(\d) (running|waiting -?\d+)$/ or next;
        ($heard{$who}, $when{$who}) = ($what, time);
        $socket->send($line, 0, $from) if $running && $what ne 'running';
    }
}

my ($decided, $since, $told) = ('', time, '');
until ($decided) {
    $heard{$node} = "waiting $seqno";
    for my $other (@others) {
        my $to = place($hosts[$other - 1]) or next;
        $socket->send($line, 0, $to);
    }
    hear(0.1, 0);
    my @away = grep { !defined $heard{$_} || time - $when{$_} > 3 } @others;
    if (grep { ($heard{$_} // '') eq 'running' } @others) { $decided = 'join' }
    elsif (!@away) {
        my ($best) = sort { ($heard{$b} =~ /(-?\d+)/)[0] <=> ($heard{$a} =~ /(-?\d+)/)[0] || $a <=> $b } keys %heard;
        $decided = $best == $node ? 'begin' : 'follow';
    }
    elsif (time - $since > 5 && $told ne "@away") {
        $told = "@away";
        print STDERR "waiting for ", join(' and ', map { "node $_" } @away), "\n";
    }
}
# The others may not have heard yet that all are there: for a moment this one still says where it stands.
my $end = time + 2;
while ($decided ne 'join' && time < $end) {
    for my $other (@others) {
        my $to = place($hosts[$other - 1]) or next;
        $socket->send($line, 0, $to);
    }
    print "$decided\n" and close STDOUT if defined fileno STDOUT;
    hear(0.1, 1);
}
print "$decided\n" and close STDOUT if defined fileno STDOUT;
$line = "$node running";
hear(3600, 1) while 1;
