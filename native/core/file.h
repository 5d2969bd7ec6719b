// Files as the core needs them: a read-only mapping, and a writer whose file appears whole or not at all.
#pragma once
#include <cstdint>
#include <string>

namespace gt {

class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  // Throws Error(kFile) if the range does not lie within the file.
  const uint8_t* range(int64_t offset, int64_t bytes) const;
  // Gives the memory of a range back once it has been read: mapped pages count as the process's own.
  void done_with(int64_t offset, int64_t bytes) const;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  uint8_t* data_ = nullptr;
  int64_t size_ = 0;
};

// Writes to `<path>.partial` and renames it on commit(); without commit the partial file is removed.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  void write(const void* data, int64_t bytes);
  void commit();

 private:
  [[noreturn]] void fail(const char* what);
  std::string path_, partial_;
  int fd_ = -1;
};

}  // namespace gt
