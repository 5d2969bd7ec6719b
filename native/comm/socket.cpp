#include "comm/socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "core/error.h"

namespace gt::comm {

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

void Descriptor::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Address::Address(const std::string& text) {
  const std::string form = gt::text("the address of rank 0 is \"", text, "\", expected \"tcp:host:port\" or \"unix:path\"");
  if (text.rfind("unix:", 0) == 0) {
    path = text.substr(5);
    require(!path.empty(), Code::kArgument, form);
    require(path.size() < sizeof(sockaddr_un::sun_path), Code::kArgument, "the path of the socket \"", path, "\" has ", path.size(), " bytes, the system takes at most ",
            sizeof(sockaddr_un::sun_path) - 1, "; give a folder with a shorter name");
    return;
  }
  const size_t colon = text.rfind(':');
  require(text.rfind("tcp:", 0) == 0 && colon > 4, Code::kArgument, form);
  host = text.substr(4, colon - 4), port = text.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  const bool digits = !port.empty() && port.size() <= 5 && std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
  require(digits && std::stoi(port) > 0 && std::stoi(port) < 65536, Code::kArgument, form, " with a port of 1 to 65535");
}

std::string Address::text() const {
  if (!path.empty()) return "unix:" + path;
  return host.find(':') == std::string::npos ? gt::text("tcp:", host, ":", port) : gt::text("tcp:[", host, "]:", port);
}

static void set_up(int fd) {
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
#ifdef SO_NOSIGPIPE  // elsewhere each send says MSG_NOSIGNAL
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
}

// Frames are small and waited for. Fails on sockets of one machine, which need it not.
static void send_at_once(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static sockaddr_un unix_address(const std::string& path) {
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  std::memcpy(a.sun_path, path.data(), path.size());
  return a;
}

static Descriptor listen_unix(const Address& address) {
  Descriptor s(socket(AF_UNIX, SOCK_STREAM, 0));
  const sockaddr_un a = unix_address(address.path);
  const bool ok = s && bind(s.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0 && listen(s.get(), SOMAXCONN) == 0;
  require(ok, Code::kArgument, "rank 0 cannot listen at ", address.text(), ": ", std::strerror(errno), "; give a path in a fresh folder that this process may write to");
  set_up(s.get());
  return s;
}

// None where this machine lacks the family.
static Descriptor listen_tcp(int family, const Address& address, bool loopback) {
  Descriptor s(socket(family, SOCK_STREAM, 0));
  if (!s) return s;
  set_up(s.get());
  const int on = 1, off = 0;
  setsockopt(s.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);  // connections of an earlier run may still be winding down at this port
  const auto port = htons(uint16_t(std::stoi(address.port)));
  int bound;
  if (family == AF_INET6) {
    setsockopt(s.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    sockaddr_in6 a{};
    a.sin6_family = AF_INET6, a.sin6_port = port, a.sin6_addr = loopback ? in6addr_loopback : in6addr_any;
    bound = bind(s.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a);
  } else {
    sockaddr_in a{};
    a.sin_family = AF_INET, a.sin_port = port, a.sin_addr.s_addr = htonl(loopback ? INADDR_LOOPBACK : INADDR_ANY);
    bound = bind(s.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a);
  }
  if (bound != 0 && (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT)) return Descriptor();
  const bool ok = bound == 0 && listen(s.get(), SOMAXCONN) == 0;
  require(ok || errno != EADDRINUSE, Code::kArgument, "port ", address.port, " of host ", address.host, " is in use by another program; give another MASTER_PORT or --address");
  require(ok, Code::kArgument, "rank 0 cannot listen at ", address.text(), ": ", std::strerror(errno), "; give another MASTER_PORT or --address");
  return s;
}

Descriptor listen_at(const Address& address) {
  if (!address.path.empty()) return listen_unix(address);
  const bool loopback = address.host == "localhost" || is_loopback(address.host);
  // IPv6's any-address takes IPv4's connections too; its loopback does not.
  Descriptor s;
  if (!loopback || address.host == "::1") s = listen_tcp(AF_INET6, address, loopback);
  if (!s && address.host != "::1") s = listen_tcp(AF_INET, address, loopback);
  require(bool(s), Code::kArgument, "rank 0 cannot listen at ", address.text(), ": this machine has no such address; give --address one of its own");
  return s;
}

Descriptor accept_from(const Descriptor& listener) {
  Descriptor s(accept(listener.get(), nullptr, nullptr));
  if (s) set_up(s.get()), send_at_once(s.get());
  return s;
}

static Descriptor connect_one(int family, const sockaddr* to, socklen_t bytes, double seconds, std::string& problem) {
  Descriptor s(socket(family, SOCK_STREAM, 0));
  int error = errno;
  if (s) {
    set_up(s.get()), send_at_once(s.get());
    error = connect(s.get(), to, bytes) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
      pollfd p{s.get(), POLLOUT, 0};
      socklen_t n = sizeof error;
      if (poll(&p, 1, int(seconds * 1000)) <= 0) error = ETIMEDOUT;
      else getsockopt(s.get(), SOL_SOCKET, SO_ERROR, &error, &n);
    }
  }
  if (error == 0) return s;
  problem = std::strerror(error);
  return Descriptor();
}

Descriptor connect_to(const Address& address, double seconds, std::string& problem) {
  if (!address.path.empty()) {
    const sockaddr_un a = unix_address(address.path);
    return connect_one(AF_UNIX, reinterpret_cast<const sockaddr*>(&a), sizeof a, seconds, problem);
  }
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (const int error = getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &found)) {
    problem = gai_strerror(error);
    return Descriptor();
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> all(found, freeaddrinfo);
  for (const addrinfo* a = found; a; a = a->ai_next)
    if (Descriptor s = connect_one(a->ai_family, a->ai_addr, a->ai_addrlen, seconds, problem)) return s;
  return Descriptor();
}

std::string own_address(const Descriptor& socket) {
  sockaddr_storage a{};
  socklen_t bytes = sizeof a;
  char host[NI_MAXHOST] = "";
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&a), &bytes) != 0 || (a.ss_family != AF_INET && a.ss_family != AF_INET6)) return "";
  if (getnameinfo(reinterpret_cast<const sockaddr*>(&a), bytes, host, sizeof host, nullptr, 0, NI_NUMERICHOST) != 0) return "";
  const std::string address = host, mapped = "::ffff:";  // IPv4 on an IPv6 socket
  return address.rfind(mapped, 0) == 0 ? address.substr(mapped.size()) : address;
}

bool is_loopback(const std::string& address) { return address == "::1" || address.rfind("127.", 0) == 0; }

Wake::Wake() {
  int ends[2];
  require(pipe(ends) == 0, Code::kRank, "a pipe cannot be opened: ", std::strerror(errno), "; this process may have too many files open");
  read_ = Descriptor(ends[0]), write_ = Descriptor(ends[1]);
  for (int end : ends) fcntl(end, F_SETFD, FD_CLOEXEC), fcntl(end, F_SETFL, O_NONBLOCK);
}

void Wake::call() {
  const char byte = 0;
  while (write(write_.get(), &byte, 1) < 0 && errno == EINTR) {}  // a full pipe wakes just as well
}

void Wake::clear() {
  char bytes[64];
  while (read(read_.get(), bytes, sizeof bytes) > 0) {}
}

}  // namespace gt::comm
