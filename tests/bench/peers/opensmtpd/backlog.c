/* Lets 128 connections wait to be accepted. OpenSMTPD asks for five, which is compiled in: of twenty that come at once the
   others begin a second late, or three, and a round of the benchmark is over before all are in. */
#define _GNU_SOURCE
#include <dlfcn.h>

int listen(int fd, int backlog) {
    int (*listen_of_libc)(int, int) = (int (*)(int, int))dlsym(RTLD_NEXT, "listen");
    return listen_of_libc(fd, backlog < 128 ? 128 : backlog);
}
