/* A preloaded library that makes syncs and writes of files slow, or hang, while a program runs.
 *
 *   cc -O2 -fPIC -shared -o slow_sync.so slow_sync.c
 *   PHANTOM_SLOW_SYNC=told LD_PRELOAD=./slow_sync.so program
 *   echo 500 > told           each sync takes 500 ms more from now on
 *   echo 60000 > told         hangs what is in a sync, too
 *   echo 0 > told             lets all of them go on at once
 *   echo '0 60000' > told     the second number is for writes at an offset (pwrite)
 *
 * `told` is read when a call begins and every 2 ms while it waits, so a delay can be taken back that
 * has begun. A file that is not there says 0. It is replaced, not rewritten, by whoever wants no
 * moment in which it is empty. What the call does is done after the wait and is not changed.
 * Only descriptors of the file system are slow: other uses of these calls do not exist.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { SYNCS, WRITES };

#define LOOK_AGAIN_NS 2000000L

static long told_ms(int what)
{
    const char *path = getenv("PHANTOM_SLOW_SYNC");
    char text[64] = "";
    long numbers[2] = {0, 0};
    char *rest = text;
    int file;

    if (path == NULL || (file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC)) < 0)
        return 0;
    if (syscall(SYS_read, file, text, sizeof text - 1) > 0) {
        numbers[SYNCS] = strtol(rest, &rest, 10);
        numbers[WRITES] = strtol(rest, &rest, 10);
    }
    syscall(SYS_close, file);
    return numbers[what];
}

/* The system's own clock: another preloaded library may fake what the program sees. */
static long now_ms(void)
{
    struct timespec now;

    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void wait_as_told(int what)
{
    const struct timespec pause = {0, LOOK_AGAIN_NS};
    const long begun = now_ms();

    while (now_ms() - begun < told_ms(what))
        syscall(SYS_nanosleep, &pause, NULL);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int fd) { wait_as_told(SYNCS); return REAL(fsync)(fd); }

int fdatasync(int fd) { wait_as_told(SYNCS); return REAL(fdatasync)(fd); }

int syncfs(int fd) { wait_as_told(SYNCS); return REAL(syncfs)(fd); }

int sync_file_range(int fd, off64_t offset, off64_t bytes, unsigned int flags)
{
    wait_as_told(SYNCS);
    return REAL(sync_file_range)(fd, offset, bytes, flags);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    wait_as_told(WRITES);
    return REAL(pwrite)(fd, data, bytes, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset)
{
    wait_as_told(WRITES);
    return REAL(pwrite64)(fd, data, bytes, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    wait_as_told(WRITES);
    return REAL(pwritev)(fd, parts, count, offset);
}
