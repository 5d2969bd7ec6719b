// Stream sockets, TCP or of one machine: non-blocking, closed where a program is started, without SIGPIPE.
#pragma once
#include <string>

namespace gt::comm {

// Owns a file descriptor; -1: none.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor() { close(); }
  explicit operator bool() const { return fd_ >= 0; }
  int get() const { return fd_; }
  void close();

 private:
  int fd_;
};

struct Address {
  std::string path;        // of a socket in the file system, or
  std::string host, port;  // of TCP

  // "unix:path" or "tcp:host:port" ("tcp:[::1]:29500" for IPv6). Throws Error(kArgument).
  explicit Address(const std::string& text);
  std::string text() const;
};

// Throws Error(kArgument) where the address is in use or not of this machine. On TCP all interfaces are listened at, unless the host is the loopback's
// address by its own words: a host's name may stand for 127.0.1.1 on that host.
Descriptor listen_at(const Address& address);
// The next connection that waits, or none.
Descriptor accept_from(const Descriptor& listener);
// Tries once, for up to `seconds`. None where it failed, and `problem` says why.
Descriptor connect_to(const Address& address, double seconds, std::string& problem);

// The numeric address of this end of a connection, "" for sockets of one machine.
std::string own_address(const Descriptor& socket);
bool is_loopback(const std::string& address);

// Wakes a thread that waits in poll() for `ready()` to be readable.
class Wake {
 public:
  Wake();
  void call();
  void clear();
  int ready() const { return read_.get(); }

 private:
  Descriptor read_, write_;
};

}  // namespace gt::comm
