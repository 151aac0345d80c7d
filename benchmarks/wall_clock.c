// A wall clock that can be set, for benchmarks/ros_faults.py: preloaded, it is ahead by the seconds (a double) in the file
// that WALL_CLOCK names. The monotonic clock, which control goes by, is left alone. A wait until a moment of the wall
// clock is told the kernel's name for that moment, as if the kernel's own clock had been set.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile double *ahead;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("WALL_CLOCK");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0) return;
    void *page = mmap(NULL, sizeof(double), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED) ahead = page;
}

static struct timespec moved(const struct timespec *at, double seconds) {
    long long ns = at->tv_sec * 1000000000LL + at->tv_nsec + (long long)(1e9 * seconds);
    return (struct timespec){ns / 1000000000, ns % 1000000000};
}

static int is_wall(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

static struct timespec real(clockid_t clock, const struct timespec *until) {
    return ahead && is_wall(clock) ? moved(until, -*ahead) : *until;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    long failed = syscall(SYS_clock_gettime, clock, at);
    if (!failed && ahead && is_wall(clock)) *at = moved(at, *ahead);
    return (int)failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    (void)zone;
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    *at = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return failed;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock,
                           const struct timespec *until) {
    static __typeof__(&pthread_cond_clockwait) next;
    if (!next) next = dlsym(RTLD_NEXT, "pthread_cond_clockwait");
    struct timespec then = real(clock, until);
    return next(condition, mutex, clock, &then);
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    // The condition says by which clock: one made for the monotonic clock is never as far as a wall clock's years.
    static __typeof__(&pthread_cond_timedwait) next;
    if (!next) next = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");  // On x86-64 there is an older one.
    if (!next) next = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    struct timespec then = until->tv_sec > 1000000000 ? real(CLOCK_REALTIME, until) : *until;
    return next(condition, mutex, &then);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
    static __typeof__(&pthread_mutex_timedlock) next;
    if (!next) next = dlsym(RTLD_NEXT, "pthread_mutex_timedlock");
    struct timespec then = real(CLOCK_REALTIME, until);
    return next(mutex, &then);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    static __typeof__(&sem_timedwait) next;
    if (!next) next = dlsym(RTLD_NEXT, "sem_timedwait");
    struct timespec then = real(CLOCK_REALTIME, until);
    return next(semaphore, &then);
}

int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until) {
    static __typeof__(&sem_clockwait) next;
    if (!next) next = dlsym(RTLD_NEXT, "sem_clockwait");
    struct timespec then = real(clock, until);
    return next(semaphore, clock, &then);
}
