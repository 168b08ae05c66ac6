#!/bin/sh
# Makes sure that there is something to run on: Rust, and a Vulkan, Metal or DX12 driver. Installs nothing where there is.
set -eu

command -v cargo >/dev/null || { echo "Rust is missing: see https://rustup.rs" >&2; exit 1; }

[ "$(uname -s)" = Linux ] || exit 0 # macOS and Windows bring their driver

drivers() {
    for folder in "${XDG_DATA_HOME:-$HOME/.local/share}/vulkan" /etc/vulkan /usr/share/vulkan /usr/local/share/vulkan; do
        ls "$folder"/icd.d/*.json 2>/dev/null || true
    done
    printf '%s\n' "${VK_DRIVER_FILES:-}" "${VK_ICD_FILENAMES:-}"
}
loader() { ldconfig -p 2>/dev/null | grep -q 'libvulkan\.so\.1'; }

if loader && [ -n "$(drivers)" ]; then exit 0; fi

if ! command -v apt-get >/dev/null; then
    echo "no Vulkan driver found: install your GPU's driver, or Mesa's lavapipe to run on the CPU" >&2
    exit 1
fi
echo "no Vulkan driver found: installing Mesa's, which runs on the CPU" >&2
sudo=""
[ "$(id -u)" = 0 ] || sudo=sudo
$sudo apt-get update -qq
$sudo apt-get install -y -qq --no-install-recommends mesa-vulkan-drivers libvulkan1
