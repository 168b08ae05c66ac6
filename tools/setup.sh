#!/bin/sh
# Makes sure that there is something to build with and to run on: Rust, a C linker, and a Vulkan, Metal or DX12 driver.
# Installs nothing where there is.
set -eu

command -v cargo >/dev/null || { echo "Rust is missing: see https://rustup.rs" >&2; exit 1; }

[ "$(uname -s)" = Linux ] || exit 0 # macOS and Windows bring their driver, and Rust's installer asks for a linker

PATH=$PATH:/usr/sbin:/sbin # ldconfig is there on Debian

install() {
    if ! command -v apt-get >/dev/null; then
        echo "install it with your system's packages, then run this again" >&2
        exit 1
    fi
    sudo=""
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    $sudo apt-get install -y -qq --no-install-recommends "$@"
}

# The files in which drivers are registered, as Vulkan's loader looks for them: where the variables are set, there alone.
chosen=${VK_DRIVER_FILES:-${VK_ICD_FILENAMES:-}}
registered() {
    if [ -n "$chosen" ]; then
        printf '%s\n' "$chosen" | tr ':' '\n'
        return
    fi
    for folder in "${XDG_CONFIG_HOME:-$HOME/.config}" "${XDG_DATA_HOME:-$HOME/.local/share}" /etc /usr/local/etc \
        /usr/local/share /usr/share /run/opengl-driver/share; do
        ls "$folder"/vulkan/icd.d/*.json 2>/dev/null || true
    done
}

# Where there is no ldconfig (musl, NixOS) nothing can be said against it.
linkable() { ! command -v ldconfig >/dev/null || ldconfig -p 2>/dev/null | grep -qF "$1"; }

library_exists() { # named by the file $1 as $2: absolute, relative to the file, or for the linker to find
    case $2 in
    /*) [ -e "$2" ] ;;
    */*) [ -e "$(dirname "$1")/$2" ] ;;
    *) linkable "$2" ;;
    esac
}

# A GPU's driver is often installed where there is no GPU. Under WSL it is /dev/dxg.
gpu() { ls /dev/dri/renderD* /dev/nvidia0 /dev/dxg 2>/dev/null | grep -q .; }

usable() { # the driver registered in the file $1
    [ -r "$1" ] || return 1
    library=$(sed -n 's/.*"library_path"[^"]*"\([^"]*\)".*/\1/p' "$1" | head -n 1)
    [ -n "$library" ] && library_exists "$1" "$library" || return 1
    case $library in
    *lvp* | *lavapipe* | *swiftshader*) ;; # these compute on the CPU
    *) gpu ;;
    esac
}

driver() {
    linkable libvulkan.so.1 || return 1
    registered | while read -r file; do
        if usable "$file"; then echo "$file"; fi
    done | grep -q .
}

if ! command -v cc >/dev/null; then
    echo "no C linker (cc) found, which Rust needs" >&2
    install build-essential
fi
# For the test of the server's page, where a browser is asked for. Without one that test says that it is skipped.
if [ -n "${DESIREPATH_BROWSER:-}" ] && ! command -v chromium >/dev/null; then
    (install chromium) || echo "no chromium: the server's page will not be tested" >&2
fi
driver && exit 0
if [ -n "$chosen" ] && linkable libvulkan.so.1; then
    echo "VK_DRIVER_FILES or VK_ICD_FILENAMES names no driver that works here ($chosen): unset it and run this again" >&2
    exit 1
fi
echo "no Vulkan driver with a device found: Mesa's runs on the CPU (for a GPU install its own driver)" >&2
install mesa-vulkan-drivers libvulkan1
