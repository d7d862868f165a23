// An implicit Vulkan layer that pretends to VK_EXT_headless_surface. A headless Chromium starts on a GPU only where the driver
// has that extension, though with --disable-vulkan-surface it makes no surface of it; data-center drivers may lack it.
//
// Not part of any build. By hand, with the headers of Vulkan, on a machine whose Chromium finds no adapter:
//   gcc -shared -fPIC -O1 -o /usr/local/lib/headless_surface.so test/bench/chromium/headless_surface.c
//   cp test/bench/chromium/headless_surface.json /etc/vulkan/implicit_layer.d/
#include <stdlib.h>
#include <string.h>
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

// the GPU process of Chromium has the instances one after the other, with the same loader below them
static PFN_vkGetInstanceProcAddr next_of_instance;
static PFN_vkGetDeviceProcAddr next_of_device;
static VkInstance instance;

static VkResult create_instance(const VkInstanceCreateInfo* info, const VkAllocationCallbacks* allocator, VkInstance* out) {
  VkLayerInstanceCreateInfo* link = (VkLayerInstanceCreateInfo*)info->pNext;
  while (link && (link->sType != VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO || link->function != VK_LAYER_LINK_INFO)) {
    link = (VkLayerInstanceCreateInfo*)link->pNext;
  }
  if (!link) return VK_ERROR_INITIALIZATION_FAILED;
  PFN_vkGetInstanceProcAddr next = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  // the driver is not to hear of what it lacks
  const char** names = malloc((info->enabledExtensionCount + 1) * sizeof *names);
  if (!names) return VK_ERROR_OUT_OF_HOST_MEMORY;
  VkInstanceCreateInfo without = *info;
  without.ppEnabledExtensionNames = names;
  without.enabledExtensionCount = 0;
  for (uint32_t i = 0; i < info->enabledExtensionCount; i++) {
    const char* name = info->ppEnabledExtensionNames[i];
    if (strcmp(name, VK_EXT_HEADLESS_SURFACE_EXTENSION_NAME) != 0) names[without.enabledExtensionCount++] = name;
  }
  VkResult result = ((PFN_vkCreateInstance)next(NULL, "vkCreateInstance"))(&without, allocator, out);
  free(names);
  if (result == VK_SUCCESS) {
    next_of_instance = next;
    instance = *out;
  }
  return result;
}

static VkResult create_device(
    VkPhysicalDevice gpu, const VkDeviceCreateInfo* info, const VkAllocationCallbacks* allocator, VkDevice* out) {
  VkLayerDeviceCreateInfo* link = (VkLayerDeviceCreateInfo*)info->pNext;
  while (link && (link->sType != VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO || link->function != VK_LAYER_LINK_INFO)) {
    link = (VkLayerDeviceCreateInfo*)link->pNext;
  }
  if (!link) return VK_ERROR_INITIALIZATION_FAILED;
  PFN_vkGetInstanceProcAddr next = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  PFN_vkGetDeviceProcAddr next_device = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  VkResult result = ((PFN_vkCreateDevice)next(instance, "vkCreateDevice"))(gpu, info, allocator, out);
  if (result == VK_SUCCESS) next_of_device = next_device;
  return result;
}

static VkResult create_surface(
    VkInstance of, const VkHeadlessSurfaceCreateInfoEXT* info, const VkAllocationCallbacks* allocator, VkSurfaceKHR* out) {
  return VK_ERROR_INITIALIZATION_FAILED;
}

static PFN_vkVoidFunction device_function(VkDevice device, const char* name) {
  if (strcmp(name, "vkGetDeviceProcAddr") == 0) return (PFN_vkVoidFunction)device_function;
  return next_of_device ? next_of_device(device, name) : NULL;
}

static PFN_vkVoidFunction instance_function(VkInstance of, const char* name) {
  if (strcmp(name, "vkCreateInstance") == 0) return (PFN_vkVoidFunction)create_instance;
  if (strcmp(name, "vkCreateDevice") == 0) return (PFN_vkVoidFunction)create_device;
  if (strcmp(name, "vkCreateHeadlessSurfaceEXT") == 0) return (PFN_vkVoidFunction)create_surface;
  if (strcmp(name, "vkGetInstanceProcAddr") == 0) return (PFN_vkVoidFunction)instance_function;
  if (strcmp(name, "vkGetDeviceProcAddr") == 0) return (PFN_vkVoidFunction)device_function;
  return next_of_instance ? next_of_instance(of, name) : NULL;
}

VkResult vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface* interface) {
  interface->loaderLayerInterfaceVersion = 2;
  interface->pfnGetInstanceProcAddr = instance_function;
  interface->pfnGetDeviceProcAddr = device_function;
  interface->pfnGetPhysicalDeviceProcAddr = NULL;
  return VK_SUCCESS;
}
