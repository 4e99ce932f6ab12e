import { BlockList, isIP } from 'node:net'

/** Addresses that hand out credentials, or are not addresses of a host. */
const blocked = [
  ['169.254.0.0', 16, 'ipv4'], // link-local: metadata servers
  ['0.0.0.0', 8, 'ipv4'],
  ['100.100.100.200', 32, 'ipv4'],
  ['192.0.0.192', 32, 'ipv4'],
  ['224.0.0.0', 3, 'ipv4'], // multicast, reserved, broadcast
  ['::', 128, 'ipv6'],
  ['fe80::', 10, 'ipv6'], // link-local
  ['ff00::', 8, 'ipv6'],
  ['fd00:ec2::254', 128, 'ipv6'],
  ['fd20:ce::254', 128, 'ipv6'],
  ['64:ff9b::a9fe:0', 112, 'ipv6'], // 169.254.0.0 behind NAT64 and 6to4
  ['2002:a9fe::', 32, 'ipv6'],
] as const

const blockedNames = /^(metadata|instance-data|(.*\.)?metadata\.google\.internal)\.?$/i

/** Decides which addresses may be contacted. An IPv4 address mapped into IPv6 is treated as IPv4. */
export function createAddressRules(): { blocks(address: string): boolean; blocksName(host: string): boolean } {
  const list = new BlockList()
  for (const [net, prefix, family] of blocked) list.addSubnet(net, prefix, family)
  return {
    blocks(address) {
      const family = isIP(address)
      return family === 0 || list.check(address, family === 6 ? 'ipv6' : 'ipv4')
    },
    blocksName: host => blockedNames.test(host),
  }
}
