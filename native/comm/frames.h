// What ranks and the server of rank 0 say to each other, and a connection that carries it.
//
//   frame = bytes that follow (4 bytes, lowest first) | kind (1 byte) | for each field: its bytes (4, lowest first) | the field
//
//   to the server    hello   magic, run, rank, size, description    the first frame
//                    beat                                           every second or sooner
//                    gather  channel, what, bytes
//                    leave   reason, "" for "all is done"
//   from the server  started address of rank 0 on the network, then every rank's description
//                    beat
//                    gathered channel, then every rank's bytes
//                    failed  sentence                               this rank cannot go on, or may not come in
//                    goodbye sentence                               rank 0 has left in order and the server may end; about the first who left
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "comm/socket.h"

namespace gt::comm {

// Changes with every change of the frames.
constexpr char kMagic[] = "gemmatune rendezvous 2";
constexpr size_t kLargestFrame = size_t(64) << 20;
constexpr size_t kLargestHello = 4096;  // so much a stranger may make the server keep

struct Frame {
  enum Kind : uint8_t { hello = 1, beat, gather, leave, started, gathered, failed, goodbye };
  Kind kind;
  std::vector<std::string> fields;

  // The bytes of the frame on the wire.
  size_t bytes() const;
};

// Not for several threads at once.
class Connection {
 public:
  explicit Connection(Descriptor socket, size_t largest = kLargestFrame) : largest(largest), socket_(std::move(socket)) {}

  const Descriptor& socket() const { return socket_; }
  // Sends what the socket takes now; flush() when it takes more.
  void send(const Frame& frame);
  void flush();
  bool unsent() const { return !out_.empty(); }

  // The frames that have come. Throws Error(kRank) where what came is no frame, or one larger than `largest`.
  std::vector<Frame> receive();
  // The other end has closed it.
  bool ended() const { return ended_; }

  size_t largest;

 private:
  Descriptor socket_;
  std::string in_, out_;
  bool ended_ = false;
};

}  // namespace gt::comm
