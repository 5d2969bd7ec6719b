// Symbols younger than glibc 2.28 that headers and libstdc++.a of a newer system refer to. Local to the addon (cmake/exports.map).
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

extern "C" {

// glibc 2.32. libstdc++ leaves out the atomics of shared_ptr where it is set: 0 is always right.
extern char __libc_single_threaded;
char __libc_single_threaded = 0;

// glibc 2.33; before, a macro over __fxstat.
int fstat(int fd, struct stat* out) noexcept { return int(syscall(SYS_fstat, fd, out)); }

// glibc 2.30. Condition variables wait by the real-time clock there: the time that is left by another clock is added to it. Where the real-time clock is set
// meanwhile a wait is shorter or longer, which those who wait for a time look at themselves.
int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock, const timespec* until) {
  constexpr long kSecond = 1'000'000'000;
  timespec now, real;
  clock_gettime(clock, &now), clock_gettime(CLOCK_REALTIME, &real);
  timespec end{real.tv_sec + until->tv_sec - now.tv_sec, real.tv_nsec + until->tv_nsec - now.tv_nsec};
  while (end.tv_nsec >= kSecond) end.tv_sec++, end.tv_nsec -= kSecond;
  while (end.tv_nsec < 0) end.tv_sec--, end.tv_nsec += kSecond;
  return pthread_cond_timedwait(condition, mutex, &end);
}

// In libc_nonshared.a, which is not linked: as it stands there. The CUDA runtime asks for it.
extern void* __dso_handle;
int __cxa_atexit(void (*function)(void*), void* argument, void* object);
int atexit(void (*function)()) { return __cxa_atexit(reinterpret_cast<void (*)(void*)>(function), nullptr, __dso_handle); }

}  // extern "C"
