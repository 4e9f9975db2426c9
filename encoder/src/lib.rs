//! The MobileNetV5 vision encoder of Gemma 3n on CPUs.
