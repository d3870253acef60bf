#!/usr/bin/perl
# The first set-up of a MongoDB without a shell or a driver: initiate the set, create the root user.
#
#   mongodb-set-up PORT SET HOST        SET empty: no set is initiated. User and password come on standard input, a line each;
#                                       without a user none is made.
#
# Only what perl-base has: a few lines of BSON and of MongoDB's messages. What is done already is no error.
use strict;
use warnings;
use Socket;

my ($port, $set, $host) = @ARGV;
chomp(my $user = <STDIN> // "");
chomp(my $password = <STDIN> // "");
my $end = time + 60;

sub pause { select(undef, undef, undef, 0.005) }

# A document of pairs; a value is a number, a text, or a reference to the pairs of a document (HASH) or to a list (ARRAY).
sub document {
    my $bytes = "";
    while (@_) {
        my ($name, $value) = splice(@_, 0, 2);
        if (ref $value eq "ARRAY") {
            my $place = 0;
            $bytes .= "\x04$name\0" . document(map { ($place++, $_) } @$value);
        } elsif (ref $value eq "HASH") {
            $bytes .= "\x03$name\0" . document(@{ $value->{of} });
        } elsif (ref $value eq "SCALAR") {
            $bytes .= "\x02$name\0" . pack("V", length($$value) + 1) . "$$value\0";
        } else {
            $bytes .= "\x10$name\0" . pack("V", $value);
        }
    }
    return pack("V", length($bytes) + 5) . "$bytes\0";
}

sub text { my $text = shift; return \$text }

# The answer's bytes; nothing if the connection was closed.
sub ask {
    my $to = shift;
    my $body = pack("VC", 0, 0) . document(@_, '$db', text("admin"));
    my $message = pack("VVVV", 16 + length $body, 1, 0, 2013) . $body;
    return unless (syswrite($to, $message) // 0) == length $message;
    my ($length, $answer) = ("", "");
    while (length $length < 4) { return unless sysread($to, $length, 4 - length $length, length $length) }
    my $rest = unpack("V", $length) - 4;
    while (length $answer < $rest) { return unless sysread($to, $answer, $rest - length $answer, length $answer) }
    return $answer;
}

sub worked { my $answer = shift; return defined $answer && $answer =~ /\x01ok\0\0\0\0\0\0\0\xf0\x3f/ }

sub said {
    my $answer = shift // return "no answer";
    return $answer =~ /\x02errmsg\0....(.*?)\0/s ? $1 : "an answer without words";
}

my $server;
while (1) {
    socket($server, PF_INET, SOCK_STREAM, 0) or die "no socket: $!\n";
    last if connect($server, sockaddr_in($port, inet_aton("127.0.0.1")));
    close $server;
    die "MongoDB does not listen on port $port\n" if time > $end;
    pause();
}

if (length($set // "")) {
    my %election = (electionTimeoutMillis => 1000, heartbeatIntervalMillis => 500, heartbeatTimeoutSecs => 1);
    my $answer = ask($server, replSetInitiate => { of => [
        _id => text($set), members => [ { of => [ _id => 0, host => text($host) ] } ], settings => { of => [%election] } ] });
    # Whoever has the key may have done it before us, or be doing it.
    worked($answer) or said($answer) =~ /already initialized|already in progress|requires authentication|not authorized/
        or die "the set was not initiated: " . said($answer) . "\n";
    until ((ask($server, hello => 1) // "") =~ /isWritablePrimary\0\x01/) {
        die "the server did not become primary\n" if time > $end;
        pause();
    }
}

if (length $user) {
    my $answer = ask($server, createUser => text($user), pwd => text($password), roles => [ text("root") ]);
    worked($answer) or said($answer) =~ /already exists|requires authentication|not authorized/
        or die "the root user was not created: " . said($answer) . "\n";
}
