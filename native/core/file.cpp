#include "core/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace gt {

MappedFile::MappedFile(const std::string& path) : path_(path) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  require(fd >= 0, Code::kFile, path, ": cannot open: ", std::strerror(errno));
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(fd);
    throw Error(Code::kFile, path + ": not a regular file");
  }
  size_ = info.st_size;
  void* p = size_ ? mmap(nullptr, size_t(size_), PROT_READ, MAP_PRIVATE, fd, 0) : nullptr;
  int error = errno;
  close(fd);
  require(p != MAP_FAILED, Code::kFile, path, ": cannot map: ", std::strerror(error));
  data_ = static_cast<uint8_t*>(p);
}

MappedFile::~MappedFile() {
  if (data_) munmap(data_, size_t(size_));
}

const uint8_t* MappedFile::range(int64_t offset, int64_t bytes) const {
  require(offset >= 0 && bytes >= 0 && offset <= size_ && bytes <= size_ - offset, Code::kFile, path_, ": holds ", size_, " bytes, but bytes ", offset, " to ",
          offset + bytes, " were asked for; the file is truncated");
  return data_ + offset;
}

void MappedFile::done_with(int64_t offset, int64_t bytes) const {
  // Whole pages inside the range only: its neighbours may still be read.
  const int64_t page = sysconf(_SC_PAGESIZE), first = (offset + page - 1) / page * page, last = (offset + bytes) / page * page;
  if (last > first) madvise(data_ + first, size_t(last - first), MADV_DONTNEED);
}

AtomicFile::AtomicFile(const std::string& path) : path_(path), partial_(path + ".partial") {
  fd_ = open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) fail("cannot create");
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(partial_.c_str());
}

void AtomicFile::fail(const char* what) {
  throw Error(Code::kFile, text(path_, ": ", what, ": ", std::strerror(errno), errno == ENOSPC ? "; free some space and try again, nothing was overwritten" : ""));
}

void AtomicFile::write(const void* data, int64_t bytes) {
  const char* p = static_cast<const char*>(data);
  while (bytes > 0) {
    ssize_t n = ::write(fd_, p, size_t(std::min<int64_t>(bytes, 1 << 30)));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("cannot write");
    p += n, bytes -= n;
  }
}

void AtomicFile::commit() {
  if (fsync(fd_) != 0) fail("cannot write");
  if (close(fd_) != 0) {
    fd_ = -1;
    unlink(partial_.c_str());
    fail("cannot write");
  }
  fd_ = -1;
  if (rename(partial_.c_str(), path_.c_str()) != 0) {
    int error = errno;
    unlink(partial_.c_str());
    errno = error;
    fail("cannot rename into place");
  }
}

}  // namespace gt
