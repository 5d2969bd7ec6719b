#include "comm/rendezvous_server.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>

#include "comm/clock.h"
#include "core/error.h"

namespace gt::comm {

constexpr double kHelloTimeout = 10;   // seconds in which one that connects must say who it is
constexpr size_t kMostStrangers = 64;  // that are let in before they have said it; more wait at the door
constexpr double kLinger = 5;          // seconds that the end waits for the other ranks

std::string rank_name(int rank, const std::string& description) { return description.empty() ? text("rank ", rank) : text("rank ", rank, " (", description, ")"); }

// "0, 1 and 2"; of many, the first.
static std::string listed(const std::vector<int>& ranks) {
  constexpr size_t kMost = 16;
  std::string out;
  for (size_t i = 0; i < ranks.size() && i < kMost; i++) out += text(i == 0 ? "" : i + 1 == ranks.size() ? " and " : ", ", ranks[i]);
  return ranks.size() > kMost ? text(out, " and ", ranks.size() - kMost, " more") : out;
}
static std::string ranks_named(const std::vector<int>& ranks) { return (ranks.size() == 1 ? "rank " : "ranks ") + listed(ranks); }

RendezvousServer::RendezvousServer(const RendezvousOptions& options)
    : options_(options), listener_(listen_at(Address(options.address))), ranks_(size_t(options.size)), begun_(now()), thread_([this] { loop(); }) {}

RendezvousServer::~RendezvousServer() {
  stop_ = true;
  wake_.call();
  thread_.join();
}

void RendezvousServer::loop() {
  for (;;) {
    if (stop_ && stopped_ == 0) {
      stopped_ = now();
      listener_.close();  // the address is free for the next run
      if (const Address address(options_.address); !address.path.empty()) unlink(address.path.c_str());
    }
    if (stopped_ > 0 && (others_are_gone() || now() > stopped_ + kLinger)) break;
    poll_once();
    check_times();
    peers_.remove_if([this](const Peer& p) {
      const bool lost = p.rank >= 0 && ranks_[size_t(p.rank)].state == Rank::lost;  // it may never read what is unsent
      return p.connection.ended() || lost || (p.ends && !p.connection.unsent());
    });
  }
}

bool RendezvousServer::others_are_gone() const {
  return std::none_of(peers_.begin(), peers_.end(), [](const Peer& p) { return p.rank > 0; });
}

void RendezvousServer::poll_once() {
  std::vector<pollfd> polled{{wake_.ready(), POLLIN, 0}};
  std::vector<Peer*> peers;
  const size_t strangers = size_t(std::count_if(peers_.begin(), peers_.end(), [](const Peer& p) { return p.rank < 0; }));
  for (Peer& peer : peers_) {
    polled.push_back({peer.connection.socket().get(), short((peer.ends ? 0 : POLLIN) | (peer.connection.unsent() ? POLLOUT : 0)), 0});
    peers.push_back(&peer);
  }
  const bool open = listener_ && strangers < kMostStrangers;
  if (open) polled.push_back({listener_.get(), POLLIN, 0});
  poll(polled.data(), nfds_t(polled.size()), std::max(1, int(beat_interval(options_) * 500)));
  if (polled[0].revents) wake_.clear();
  for (size_t i = 0; i < peers.size(); i++) {
    if (polled[i + 1].revents & POLLOUT) peers[i]->connection.flush();
    if (polled[i + 1].revents & (POLLIN | POLLHUP | POLLERR)) read(*peers[i]);
  }
  if (open && polled.back().revents) accept();
}

void RendezvousServer::accept() {
  if (Descriptor socket = accept_from(listener_)) peers_.push_back({Connection(std::move(socket), kLargestHello), now()});
}

void RendezvousServer::read(Peer& peer) {
  try {
    peer.heard = now();
    for (Frame& frame : peer.connection.receive())
      if (!peer.ends) handle(peer, frame);
  } catch (const Error& e) {
    if (peer.rank < 0) refuse(peer, text("what came is no rank's greeting: ", e.what()));
    else if (!peer.ends) lose(peer.rank, text("spoke another language: ", e.what()));
  }
  if (peer.connection.ended() && peer.rank >= 0 && ranks_[size_t(peer.rank)].state == Rank::here) lose(peer.rank, "ended without a word: its connection closed");
}

void RendezvousServer::handle(Peer& peer, Frame& frame) {
  const auto expect = [&](size_t fields) { require(frame.fields.size() == fields, Code::kRank, "a frame of kind ", int(frame.kind), " has ", frame.fields.size(), " fields, expected ", fields); };
  if (peer.rank < 0) {
    require(frame.kind == Frame::hello, Code::kRank, "a frame of kind ", int(frame.kind), " came first");
    expect(5);
    hello(peer, frame);
  } else if (frame.kind == Frame::gather) {
    expect(3);
    gather(peer.rank, frame);
  } else if (frame.kind == Frame::leave) {
    expect(1);
    leave(peer.rank, frame.fields[0]);
  } else {
    require(frame.kind == Frame::beat, Code::kRank, "a frame of kind ", int(frame.kind), " came");
  }
}

// The rank that `number` says, or -1.
static int rank_of(const std::string& number, int size) {
  for (int rank = 0; rank < size; rank++)
    if (number == std::to_string(rank)) return rank;
  return -1;
}

void RendezvousServer::hello(Peer& peer, const Frame& frame) {
  const std::string &magic = frame.fields[0], &run = frame.fields[1], &number = frame.fields[2], &size = frame.fields[3], &description = frame.fields[4];
  if (magic != kMagic) return refuse(peer, text("it speaks another version of the rendezvous than rank 0, which speaks \"", kMagic, "\"; install the same version on every rank"));
  if (run != options_.run) return refuse(peer, text("it belongs to another run than the rank 0 at ", options_.address, "; give every run an address of its own, and all ranks of a run the same run name"));
  if (size != std::to_string(options_.size)) return refuse(peer, text("it says that the run has ", size, " ranks, rank 0 says ", options_.size, "; start all ranks with the same size"));
  const int rank = rank_of(number, options_.size);
  if (rank < 0) return refuse(peer, text("expected a rank of 0 to ", options_.size - 1));
  Rank& r = ranks_[size_t(rank)];
  if (r.state != Rank::absent) return refuse(peer, text("the run has a ", name(rank), " already; give every process a rank of its own"));
  r = {Rank::here, description, &peer};
  peer.rank = rank;
  peer.connection.largest = kLargestFrame;
  // Rank 0's own end, as others reach it: its own host's name may stand for the loopback on that host.
  const std::string address = own_address(peer.connection.socket());
  if (address_.empty() || (is_loopback(address_) && !is_loopback(address))) address_ = address;
  if (!failure_.empty()) return peer.connection.send({Frame::failed, {failure_}});
  if (std::any_of(ranks_.begin(), ranks_.end(), [](const Rank& other) { return other.state != Rank::here; })) return;
  started_ = true;
  Frame all{Frame::started, {address_}};
  for (const Rank& each : ranks_) all.fields.push_back(each.description);
  for (const Rank& each : ranks_) each.peer->connection.send(all);
}

void RendezvousServer::gather(int rank, Frame& frame) {
  if (!failure_.empty()) return;  // it has been told
  const std::string &channel = frame.fields[0], &what = frame.fields[1];
  if (!left_.empty()) return fail_all_without(what);
  auto [found, fresh] = rounds_.try_emplace(channel);
  Round& round = found->second;
  if (fresh) round.what = what, round.parts.resize(ranks_.size());
  if (round.what != what) {
    std::vector<int> there;
    for (int other = 0; other < options_.size; other++)
      if (round.parts[size_t(other)]) there.push_back(other);
    return fail_all(text(name(rank), " is at \"", what, "\" while ", ranks_named(there), there.size() == 1 ? " is" : " are", " at \"", round.what, "\"; every rank must make the same calls in the same order"));
  }
  round.parts[size_t(rank)] = std::move(frame.fields[2]);
  if (std::any_of(round.parts.begin(), round.parts.end(), [](const auto& part) { return !part; })) return;
  Frame reply{Frame::gathered, {channel}};
  for (auto& part : round.parts) reply.fields.push_back(std::move(*part));
  rounds_.erase(found);
  if (reply.bytes() > kLargestFrame) return fail_all(text("the ranks gave ", reply.bytes(), " bytes together to \"", what, "\", expected at most ", kLargestFrame));
  for (const Rank& each : ranks_) each.peer->connection.send(reply);
}

void RendezvousServer::leave(int rank, const std::string& reason) {
  Rank& r = ranks_[size_t(rank)];
  r.state = Rank::left;
  r.peer->ends = true;
  r.peer = nullptr;
  if (!reason.empty()) return fail_all(text(name(rank), " stopped: ", reason));
  if (!started_) return fail_all(text(name(rank), " left before all ranks had come"));
  if (!failure_.empty()) return;
  if (left_.empty()) left_ = text(name(rank), " has left, all done");
  for (const auto& [channel, round] : rounds_)
    for (size_t other = 0; other < ranks_.size(); other++)
      if (round.parts[other] && ranks_[other].state == Rank::here) return fail_all_without(round.what);
  // With rank 0 this server may end: that is then no reason to fail.
  if (rank == 0)
    for (const Rank& each : ranks_)
      if (each.state == Rank::here) each.peer->connection.send({Frame::goodbye, {left_}});
}

void RendezvousServer::check_times() {
  const double time = now();
  const bool beat = time - beaten_ >= beat_interval(options_);
  if (beat) beaten_ = time;
  const Peer* silent = nullptr;  // for longer than all others
  for (Peer& peer : peers_) {
    if (peer.rank < 0 && !peer.ends && time - peer.heard > kHelloTimeout) refuse(peer, text("no greeting came within ", kHelloTimeout, " s"));
    if (peer.rank < 0 || ranks_[size_t(peer.rank)].state != Rank::here) continue;
    if (beat) peer.connection.send({Frame::beat, {}});
    if (!silent || peer.heard < silent->heard) silent = &peer;
  }
  if (silent && time - silent->heard > options_.rank_timeout) lose(silent->rank, text("has not been heard of for ", options_.rank_timeout, " s"));
  if (started_ || !failure_.empty() || time - begun_ <= options_.join_timeout) return;
  std::vector<int> missing, there;
  for (int rank = 0; rank < options_.size; rank++) (ranks_[size_t(rank)].state == Rank::absent ? missing : there).push_back(rank);
  fail_all(text(ranks_named(missing), " of ", options_.size, missing.size() == 1 ? " has" : " have", " not come within ", options_.join_timeout, " s (", listed(there), there.size() == 1 ? " is" : " are", " here)"));
}

void RendezvousServer::refuse(Peer& peer, const std::string& sentence) {
  peer.connection.send({Frame::failed, {"rank 0 turned this process away: " + sentence}});
  peer.ends = true;
}

void RendezvousServer::lose(int rank, const std::string& how) {
  fail_all(text(name(rank), " ", how));  // it is told too: it may have been frozen, and wake
  Rank& r = ranks_[size_t(rank)];
  r.state = Rank::lost;
  r.peer->ends = true;
  r.peer = nullptr;
}

void RendezvousServer::fail_all(const std::string& sentence) {
  if (!failure_.empty()) return;
  failure_ = sentence;
  rounds_.clear();
  for (const Rank& each : ranks_)
    if (each.state == Rank::here) each.peer->connection.send({Frame::failed, {sentence}});
}

// A gather that one has left before cannot end. All are told, who have not asked too: else one who fails of this and goes could be named to them.
void RendezvousServer::fail_all_without(const std::string& what) { fail_all(text(left_, ", and takes no part in \"", what, "\"")); }

}  // namespace gt::comm
