#!/bin/busybox sh
# PID 1 of the test's live environment. It does what a live environment does, with busybox
# alone, and says each step on the serial line as a line that starts with "bty-guest:".

export PATH=/bin
BLOCK=131072

# Not /dev/console: that is the second port under this command line. Closing the port drains it.
say() { echo "bty-guest: $*" >/dev/ttyS0; }

die() {
    say "FAILED: $*"
    poweroff -f
}

argument() { sed -n "s/.*\\b$1=\\([^ ]*\\).*/\\1/p" /proc/cmdline; }

field() { sed -n "s/.*\"$1\": *\"\\([^\"]*\\)\".*/\\1/p" /run/plan; }

# post PATH BODY: until the server takes it; a server that restarts is waited for.
post() {
    until timeout 10 wget -q -O /dev/null --header "Content-Type: application/json" \
        --post-data "$2" "$server/pxe/$mac/$1"; do
        say "server did not take $1, trying again"
        sleep 1
    done
    say "posted $1"
}

prepare() {
    /bin/busybox mkdir -p /proc /sys /dev /run /etc
    /bin/busybox mount -t proc proc /proc
    /bin/busybox mount -t sysfs sys /sys
    /bin/busybox mount -t devtmpfs dev /dev
    /bin/busybox --install -s /bin
    dmesg -n 1
    while read -r module; do
        insmod "/modules/$module" || die "module $module does not load"
    done </modules/order
}

network() {
    ifconfig eth0 up
    udhcpc -q -n -t 10 -T 1 -i eth0 -s /udhcpc.sh >/dev/null 2>&1 || die "no DHCP lease"
}

inventory() {
    disks=
    for at in /sys/block/vd*; do
        disk=$(printf '{"path":"/dev/%s","size":"%s","serial":"%s","tran":"virtio",%s}' \
            "${at##*/}" "$(($(cat "$at/size") * 512))" "$(cat "$at/serial")" \
            "\"removable\":false,\"readonly\":false,\"type\":\"disk\",\"mountpoints\":[]")
        disks="$disks${disks:+,}$disk"
    done
    kb=$(sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo)
    lshw="{\"id\":\"guest\",\"class\":\"system\",\"children\":[{\"id\":\"memory\",\"size\":$((kb * 1024))}]}"
    post inventory "{\"disks\":[$disks],\"lshw\":$lshw}"
}

get_plan() {
    until timeout 10 wget -q -O /run/plan "$server/pxe/$mac/plan"; do
        say "no plan yet, trying again"
        sleep 1
    done
    say "plan $(cat /run/plan)"
}

disk_of_serial() {
    for at in /sys/block/vd*; do
        [ "$(cat "$at/serial")" = "$1" ] && echo "/dev/${at##*/}"
    done
}

# write_to DISK: standard input, block by block and past the page cache.
write_to() {
    count=0
    while :; do
        records=$(dd of="$1" bs=$BLOCK count=1 seek=$count iflag=fullblock oflag=direct 2>&1) ||
            die "cannot write to $1: $records"
        case $records in
        "0+0 records in"*) break ;;
        esac
        say "wrote block $count"
        count=$((count + 1))
    done
    echo $count >/run/blocks
}

flash() {
    disk=$(disk_of_serial "$(field target_disk_serial)")
    [ -b "$disk" ] || die "no disk with the serial of the plan"
    say "flashing $disk"
    wget -q -O - "$(field image)" | write_to "$disk"
    digest=$(dd if="$disk" bs=$BLOCK count="$(cat /run/blocks)" iflag=direct 2>/dev/null | sha256sum)
    [ "${digest%% *}" = "$(field disk_image_sha)" ]
}

# Live environments report a finished flash twice.
report_done() {
    for _ in 1 2; do
        case $(cat /completion) in
        status) post status '{"status":"done"}' ;;
        done) post done '' ;;
        esac
    done
}

prepare
server=$(argument bty.server)
mac=$(argument bty.mac)
say "up, server $server, mac $mac"
network
inventory
get_plan
case $(field mode) in
inventory) ;;
flash)
    if flash; then
        say "flashed"
        report_done
    else
        say "flash failed"
        post status '{"status":"failed","reason":"the disk does not read back right"}'
    fi
    ;;
*) die "nothing to do in a plan like this" ;;
esac
say "rebooting"
sync
reboot -f
