// Symbols younger than glibc 2.28 that headers and libstdc++.a of a newer system refer to. Local to the addon (cmake/exports.map).
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern "C" {

// glibc 2.32. libstdc++ leaves out the atomics of shared_ptr where it is set: 0 is always right.
extern char __libc_single_threaded;
char __libc_single_threaded = 0;

// glibc 2.33; before, a macro over __fxstat.
int fstat(int fd, struct stat* out) noexcept { return int(syscall(SYS_fstat, fd, out)); }

// In libc_nonshared.a, which is not linked: as it stands there. The CUDA runtime asks for it.
extern void* __dso_handle;
int __cxa_atexit(void (*function)(void*), void* argument, void* object);
int atexit(void (*function)()) { return __cxa_atexit(reinterpret_cast<void (*)(void*)>(function), nullptr, __dso_handle); }

}  // extern "C"
