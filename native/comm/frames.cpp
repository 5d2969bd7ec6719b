#include "comm/frames.h"

#include <sys/socket.h>

#include <cerrno>

#include "core/error.h"

#ifndef MSG_NOSIGNAL  // there the socket itself says so
#define MSG_NOSIGNAL 0
#endif

namespace gt::comm {

static void put_number(std::string& out, size_t n) {
  for (int shift = 0; shift < 32; shift += 8) out += char(n >> shift);
}
static size_t number_at(const std::string& in, size_t at) {
  size_t n = 0;
  for (size_t i = 0; i < 4; i++) n |= size_t(uint8_t(in[at + i])) << (8 * i);
  return n;
}

size_t Frame::bytes() const {
  size_t n = 5;
  for (const std::string& field : fields) n += 4 + field.size();
  return n;
}

void Connection::send(const Frame& frame) {
  if (ended_) return;
  put_number(out_, frame.bytes() - 4);
  out_ += char(frame.kind);
  for (const std::string& field : frame.fields) put_number(out_, field.size()), out_ += field;
  flush();
}

void Connection::flush() {
  size_t sent = 0;
  while (sent < out_.size()) {
    const ssize_t n = ::send(socket_.get(), out_.data() + sent, out_.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (n < 0) sent = out_.size();  // nobody will read it; receive() will see the end, behind what the other end still said
    else sent += size_t(n);
  }
  out_.erase(0, sent);
}

// Where the frame that begins at `begin` is whole in `in`, and the end of it; 0 where more must come.
static size_t end_of_frame(const std::string& in, size_t begin, size_t largest) {
  if (in.size() < begin + 4) return 0;
  const size_t bytes = number_at(in, begin);
  require(bytes >= 1 && bytes + 4 <= largest, Code::kRank, "a frame of ", bytes, " bytes came, expected 1 to ", largest - 4);
  return in.size() < begin + 4 + bytes ? 0 : begin + 4 + bytes;
}

static Frame parse(const std::string& in, size_t begin, size_t end) {
  Frame frame{Frame::Kind(in[begin + 4]), {}};
  require(frame.kind >= Frame::hello && frame.kind <= Frame::goodbye, Code::kRank, "a frame of kind ", int(frame.kind), " came, expected ", int(Frame::hello), " to ", int(Frame::goodbye));
  for (size_t at = begin + 5; at < end;) {
    const size_t left = end - at, bytes = left < 4 ? left : number_at(in, at);
    require(left >= 4 && bytes <= left - 4, Code::kRank, "a field of a frame is cut off");
    frame.fields.push_back(in.substr(at + 4, bytes));
    at += 4 + bytes;
  }
  return frame;
}

std::vector<Frame> Connection::receive() {
  constexpr size_t kAtOnce = size_t(1) << 20;  // then others have their turn
  char buffer[1 << 16];
  for (size_t got = 0; got < kAtOnce;) {
    const ssize_t n = recv(socket_.get(), buffer, sizeof buffer, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (n <= 0) {
      ended_ = true;
      out_.clear();
      break;
    }
    in_.append(buffer, size_t(n)), got += size_t(n);
  }
  std::vector<Frame> frames;
  size_t begin = 0;
  while (const size_t end = end_of_frame(in_, begin, largest)) frames.push_back(parse(in_, begin, end)), begin = end;
  in_.erase(0, begin);
  return frames;
}

}  // namespace gt::comm
